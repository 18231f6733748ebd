"""Judges the SQL of a revision before PostgreSQL runs it beside traffic: what is not known to be safe is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.kernel.errors import Conflict
from shared.kit.revision_files import Revision

Allowed = Literal["always", "contract", "never"]

NO_LOCK = "none"
ROW_EXCLUSIVE = "ROW EXCLUSIVE"
SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
SHARE = "SHARE"
SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"
WEAKEST_FIRST = [NO_LOCK, ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE, SHARE, SHARE_ROW_EXCLUSIVE, ACCESS_EXCLUSIVE]
"""Of tables that were there before; reading goes on beside all but the last, writing beside the first three."""


class UnsafeRevision(Conflict):
    """The revision would break running processes or stop traffic."""


@dataclass(frozen=True)
class Verdict:
    """`lock` is the strongest one taken; `remedy` says what to do where it is not always allowed."""

    lock: str
    allowed: Allowed = "always"
    remedy: str = ""


def insist_safe(step: Revision, statements: Sequence[str]) -> None:
    """Raises UnsafeRevision, which names every statement that this phase must not run and what to do instead."""
    if found := list(complaints(step, statements)):
        raise UnsafeRevision(f"Revision {step.number} ({step.phase}) is not safe beside traffic. {' '.join(found)}")


def complaints(step: Revision, statements: Sequence[str]) -> Iterator[str]:
    allowed = {"always", "contract"} if step.phase == "contract" else {"always"}
    for statement, verdict in zip(statements, judged(statements), strict=True):
        if verdict.allowed not in allowed and not _passed_by_a_person(step, statement):
            yield f"{_brief(statement)}: {verdict.remedy}"
    weak = [statement for statement in statements if _runs_long(statement)]
    if weak and len(weak) < len(statements):
        yield f"{_brief(weak[0])}: it takes long, so it belongs into a revision of its own."


def judged(statements: Sequence[str]) -> list[Verdict]:
    """A verdict on each statement of one revision; tables and indexes that it makes itself are nobody's yet."""
    plain = [_plain(statement) for statement in statements]
    own = {
        match[1]
        for text in plain
        if (match := re.match(r"CREATE (?:TABLE|(?:UNIQUE )?INDEX CONCURRENTLY) (\w+)", text))
    }
    return [_judge(text, own) for text in plain]


def blocks_nobody(statements: Sequence[str]) -> bool:
    """Whether all of it may take its time, outside of transactions, beside reading and writing."""
    return bool(statements) and all(_runs_long(statement) for statement in statements)


def _runs_long(statement: str) -> bool:
    return re.search(r"^\w+ (?:UNIQUE )?INDEX CONCURRENTLY|VALIDATE CONSTRAINT", _plain(statement)) is not None


def _judge(text: str, own: set[str]) -> Verdict:
    if ";" in text:
        return Verdict(ACCESS_EXCLUSIVE, "never", "one statement at a time can be judged.")
    for pattern, verdict in _STATEMENTS:
        if match := re.match(pattern, text):
            return Verdict(NO_LOCK) if match.groupdict().get("of") in own else verdict
    if match := re.match(r"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?(\w+) (.*)", text):
        return Verdict(NO_LOCK) if match[1] in own else _strictest([_judge_action(one) for one in _parts(match[2])])
    return _UNKNOWN


def _judge_action(text: str) -> Verdict:
    if text.startswith("ADD COLUMN"):
        return _judge_column(text)
    return next((verdict for pattern, verdict in _ACTIONS if re.match(pattern, text)), _UNKNOWN)


def _judge_column(text: str) -> Verdict:
    if match := re.search(r" (PRIMARY KEY|UNIQUE|REFERENCES|CHECK|GENERATED|\w*SERIAL)\b", text):
        return Verdict(ACCESS_EXCLUSIVE, "never", f"add the plain column, and what {match[1]} asks for afterwards.")
    default = re.search(r" DEFAULT (.*?)(?: NOT NULL)?$", text)
    if default and not re.fullmatch(_CONSTANT, default[1]):
        return Verdict(ACCESS_EXCLUSIVE, "never", "a default that is computed writes every row again: use a constant.")
    if " NOT NULL" in text and not default:
        return Verdict(ACCESS_EXCLUSIVE, "never", "older processes leave it out: give it a constant server default.")
    return Verdict(ACCESS_EXCLUSIVE)


def _strictest(verdicts: list[Verdict]) -> Verdict:
    order = ["always", "contract", "never"]
    worst = max(verdicts, key=lambda verdict: order.index(verdict.allowed))
    lock = max((verdict.lock for verdict in verdicts), key=WEAKEST_FIRST.index)
    return Verdict(lock, worst.allowed, worst.remedy)


_CONSTANT = r"'S'(?:::[\w ]+)?|-?\d+(?:\.\d+)?|true|false|NULL|now\(\)|CURRENT_TIMESTAMP"
_LATER = "older processes use it: a contract revision does this, once they are gone."
_UNKNOWN = Verdict(
    ACCESS_EXCLUSIVE, "never", "not known to be safe; name it in judged_safe, with the reason, if it is."
)
_RENAMED = Verdict(
    ACCESS_EXCLUSIVE, "never", "every running process knows one name only: add the new one, copy, drop the old one."
)

_STATEMENTS: list[tuple[str, Verdict]] = [
    (r"CREATE TABLE .* REFERENCES ", Verdict(SHARE_ROW_EXCLUSIVE)),
    (r"CREATE (TABLE|TYPE|SEQUENCE) ", Verdict(NO_LOCK)),
    (r"COMMENT ON ", Verdict(SHARE_UPDATE_EXCLUSIVE)),
    (r"CREATE (UNIQUE )?INDEX CONCURRENTLY ", Verdict(SHARE_UPDATE_EXCLUSIVE)),
    (
        r"CREATE (UNIQUE )?INDEX (IF NOT EXISTS )?\w+ ON (ONLY )?(?P<of>\w+)",
        Verdict(SHARE, "never", "nobody writes meanwhile: shared.kit.revisions.indexes builds it beside traffic."),
    ),
    (r"DROP INDEX CONCURRENTLY (IF EXISTS )?(?P<of>\w+)", Verdict(SHARE_UPDATE_EXCLUSIVE, "contract", _LATER)),
    (r"DROP (INDEX|TABLE|TYPE|SEQUENCE) ", Verdict(ACCESS_EXCLUSIVE, "contract", _LATER)),
    (r"INSERT INTO ", Verdict(ROW_EXCLUSIVE)),
    (
        r"(UPDATE|DELETE FROM) (ONLY )?(?P<of>\w+)",
        Verdict(ROW_EXCLUSIVE, "never", "rows stay locked to its end: change them in batches, by a timer's job."),
    ),
]
"""Matched in this order; `of` is the table or index that may be the revision's own."""

_ACTIONS: list[tuple[str, Verdict]] = [
    (r"ADD CONSTRAINT \w+ FOREIGN KEY.* NOT VALID$", Verdict(SHARE_ROW_EXCLUSIVE)),
    (r"ADD CONSTRAINT \w+ (CHECK.* NOT VALID$|UNIQUE USING INDEX )", Verdict(ACCESS_EXCLUSIVE)),
    (
        r"ADD ",
        Verdict(
            ACCESS_EXCLUSIVE,
            "never",
            "every row is looked at under the lock: add it NOT VALID (or UNIQUE USING INDEX), validate it in a later "
            "revision.",
        ),
    ),
    (r"VALIDATE CONSTRAINT ", Verdict(SHARE_UPDATE_EXCLUSIVE)),
    (r"ALTER COLUMN \w+ (SET DEFAULT|DROP NOT NULL)", Verdict(ACCESS_EXCLUSIVE)),
    (r"ALTER COLUMN \w+ DROP DEFAULT", Verdict(ACCESS_EXCLUSIVE, "contract", _LATER)),
    (
        r"ALTER COLUMN \w+ SET NOT NULL",
        Verdict(
            ACCESS_EXCLUSIVE,
            "never",
            "every row is looked at under the lock, unless a validated CHECK (… IS NOT NULL) is there: then name it in "
            "judged_safe of a contract revision.",
        ),
    ),
    (
        r"ALTER COLUMN \w+ (SET DATA )?TYPE ",
        Verdict(
            ACCESS_EXCLUSIVE, "never", "rows may be written again and readers surprised: add a column of that type."
        ),
    ),
    (r"DROP (COLUMN|CONSTRAINT) ", Verdict(ACCESS_EXCLUSIVE, "contract", _LATER)),
    (r"RENAME ", _RENAMED),
]


def _plain(statement: str) -> str:
    """On one line, without quotes around names, each literal text replaced by 'S'."""
    text = re.sub(r"'(?:[^']|'')*'", "'S'", statement)
    return re.sub(r"\s+", " ", text.replace('"', "")).strip()


def _parts(actions: str) -> Iterator[str]:
    """At the commas outside of brackets."""
    depth, begin = 0, 0
    for position, sign in enumerate(actions):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            yield actions[begin:position].strip()
            begin = position + 1
    yield actions[begin:].strip()


def _passed_by_a_person(step: Revision, statement: str) -> bool:
    return any(_plain(statement).startswith(_plain(beginning)) for beginning in step.judged_safe)


def _brief(statement: str) -> str:
    text = _plain(statement)
    return f"«{text if len(text) <= 100 else text[:100] + '…'}»"
