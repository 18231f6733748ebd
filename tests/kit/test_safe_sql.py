"""Which SQL may run beside traffic, in which phase."""

from __future__ import annotations

import pytest

from shared.kit.revision_files import Revision
from shared.kit.safe_sql import UnsafeRevision, blocks_nobody, insist_safe, judged

EXPAND = Revision("0007", "Seven.", "expand")
CONTRACT = Revision("0008", "Eight.", "contract", "1.1.0")

ALWAYS = [
    ("CREATE TABLE things (id INTEGER NOT NULL)", "none"),
    ("CREATE TABLE things (\n\tid INTEGER, FOREIGN KEY(id) REFERENCES others (id)\n)", "SHARE ROW EXCLUSIVE"),
    ("ALTER TABLE things ADD COLUMN note TEXT", "ACCESS EXCLUSIVE"),
    ("ALTER TABLE things ADD COLUMN amount NUMERIC(10, 2)", "ACCESS EXCLUSIVE"),
    ("ALTER TABLE things ADD COLUMN kind VARCHAR(9) DEFAULT 'UNIQUE, now' NOT NULL", "ACCESS EXCLUSIVE"),
    ("ALTER TABLE things ADD COLUMN told BOOLEAN NOT NULL DEFAULT false", "ACCESS EXCLUSIVE"),
    ("ALTER TABLE things ADD COLUMN facts JSONB DEFAULT '{}'::jsonb NOT NULL", "ACCESS EXCLUSIVE"),
    ("ALTER TABLE things ADD COLUMN at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL", "ACCESS EXCLUSIVE"),
    ("ALTER TABLE things ALTER COLUMN note DROP NOT NULL", "ACCESS EXCLUSIVE"),
    ("ALTER TABLE things ALTER COLUMN note SET DEFAULT 'x'", "ACCESS EXCLUSIVE"),
    ("ALTER TABLE things ADD CONSTRAINT ck CHECK (size > 0) NOT VALID", "ACCESS EXCLUSIVE"),
    ("ALTER TABLE things ADD CONSTRAINT fk FOREIGN KEY(a) REFERENCES b (id) NOT VALID", "SHARE ROW EXCLUSIVE"),
    ("ALTER TABLE things ADD CONSTRAINT uq UNIQUE USING INDEX uq_things", "ACCESS EXCLUSIVE"),
    ("ALTER TABLE things VALIDATE CONSTRAINT ck", "SHARE UPDATE EXCLUSIVE"),
    ('CREATE UNIQUE INDEX CONCURRENTLY "uq_things" ON things (note)', "SHARE UPDATE EXCLUSIVE"),
    ("INSERT INTO kinds (name) VALUES ('a')", "ROW EXCLUSIVE"),
]
ONLY_IN_CONTRACT = [
    "DROP TABLE things",
    "DROP INDEX ix_things",
    "DROP INDEX CONCURRENTLY IF EXISTS ix_things",
    "ALTER TABLE things DROP COLUMN note",
    "ALTER TABLE things ADD COLUMN more TEXT, DROP COLUMN note",
    "ALTER TABLE things DROP CONSTRAINT ck",
    "ALTER TABLE things ALTER COLUMN note DROP DEFAULT",
]
NEVER = [
    "ALTER TABLE things RENAME TO items",
    "ALTER TABLE things RENAME COLUMN note TO remark",
    "ALTER TABLE things ADD COLUMN note TEXT NOT NULL",
    "ALTER TABLE things ADD COLUMN id2 UUID DEFAULT gen_random_uuid() NOT NULL",
    "ALTER TABLE things ADD COLUMN number BIGSERIAL",
    "ALTER TABLE things ADD COLUMN twice INTEGER GENERATED ALWAYS AS (size * 2) STORED",
    "ALTER TABLE things ADD COLUMN other INTEGER REFERENCES others (id)",
    "ALTER TABLE things ADD COLUMN code TEXT UNIQUE",
    "ALTER TABLE things ALTER COLUMN note SET NOT NULL",
    "ALTER TABLE things ALTER COLUMN note TYPE VARCHAR(400)",
    "ALTER TABLE things ADD CONSTRAINT ck CHECK (size > 0)",
    "ALTER TABLE things ADD CONSTRAINT fk FOREIGN KEY(a) REFERENCES b (id)",
    "ALTER TABLE things ADD UNIQUE (note)",
    "ALTER TABLE things ADD PRIMARY KEY (id)",
    "CREATE INDEX ix_things ON things (note)",
    "CREATE UNIQUE INDEX IF NOT EXISTS ix_things ON ONLY things (note)",
    "UPDATE things SET note = ''",
    "DELETE FROM things",
    "TRUNCATE things",
    "LOCK TABLE things IN ACCESS EXCLUSIVE MODE",
    "VACUUM FULL things",
    "CLUSTER things USING ix",
    "REINDEX TABLE things",
    "CREATE TRIGGER t BEFORE INSERT ON things EXECUTE FUNCTION f()",
    "CREATE TABLE more (id INTEGER); DROP TABLE things",
]


@pytest.mark.parametrize(("statement", "lock"), ALWAYS)
def test_what_adds_is_safe_in_both_phases_and_its_lock_is_told(statement: str, lock: str) -> None:
    assert judged([statement])[0].lock == lock
    insist_safe(EXPAND, [statement])
    insist_safe(CONTRACT, [statement])


@pytest.mark.parametrize("statement", ONLY_IN_CONTRACT)
def test_what_takes_away_is_left_to_contract_revisions(statement: str) -> None:
    insist_safe(CONTRACT, [statement])
    with pytest.raises(UnsafeRevision, match="contract revision does this"):
        insist_safe(EXPAND, [statement])


@pytest.mark.parametrize("statement", NEVER)
@pytest.mark.parametrize("step", [EXPAND, CONTRACT], ids=["expand", "contract"])
def test_what_stops_traffic_or_is_unknown_is_refused_in_both_phases(step: Revision, statement: str) -> None:
    with pytest.raises(UnsafeRevision, match=f"Revision {step.number} "):
        insist_safe(step, [statement])


def test_a_table_of_the_revision_itself_is_nobodys_yet() -> None:
    own = [
        "CREATE TABLE things (id INTEGER NOT NULL)",
        "CREATE INDEX ix_things ON things (id)",
        "ALTER TABLE things ADD CONSTRAINT ck CHECK (id > 0)",
        "UPDATE things SET id = 1",
    ]
    insist_safe(EXPAND, own)
    assert {verdict.lock for verdict in judged(own)} == {"none"}


def test_a_person_may_let_a_statement_pass_with_a_reason() -> None:
    wider = "ALTER TABLE things ALTER COLUMN note TYPE VARCHAR(400)"
    passed = Revision("0007", "Seven.", "expand", judged_safe={wider: "wider: no row is written again"})
    insist_safe(passed, [wider])
    with pytest.raises(UnsafeRevision, match="DROP TABLE"):
        insist_safe(passed, [wider, "DROP TABLE others"])


def test_what_takes_long_stands_alone() -> None:
    index, check = "CREATE INDEX CONCURRENTLY ix ON things (note)", "ALTER TABLE things VALIDATE CONSTRAINT ck"
    assert blocks_nobody([index, check])
    assert not blocks_nobody([])
    quick = "ALTER TABLE things ADD CONSTRAINT ck CHECK (size > 0) NOT VALID"
    assert not blocks_nobody([quick, check])
    with pytest.raises(UnsafeRevision, match="revision of its own"):
        insist_safe(EXPAND, [quick, check])


def test_an_index_may_first_drop_what_a_broken_build_left() -> None:
    insist_safe(EXPAND, ["DROP INDEX CONCURRENTLY IF EXISTS ix", "CREATE INDEX CONCURRENTLY ix ON things (note)"])
