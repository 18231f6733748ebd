"""What was recorded is sealed into one chain per customer, and any change is found at its place."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.kernel.ids import new_id
from shared.kit import audit_trail
from shared.kit.audit_trail import COMPANY_CHAIN, Sealer, first_break, record, sealed_rows
from shared.kit.db import Database
from shared.kit.signed_heads import HEADS_OF_A_LINE, SignedHeads
from shared.kit.signing_keys import signing_key
from shared.kit.tables import audit_heads, audit_rows
from tests.infrastructure.waiting import eventually

Rows = list[audit_trail.SealedRow]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=12,
)


@pytest.fixture
async def trail(database: Database) -> Database:
    database.commit_hooks.append(audit_trail.flush)
    return database


async def note(trail: Database, customer: UUID | None, *numbers: int) -> None:
    async with trail.transaction() as tx:
        for number in numbers:
            record(tx, customer, "note", new_id(), number=number, text="Ärzte \u2028 你好", share=0.1)


async def rows_of(trail: Database, chain: UUID) -> Rows:
    async with trail.reading() as reader:
        return await sealed_rows(reader, chain)


async def sealed_chain(trail: Database, folder: Path, length: int = 6) -> UUID:
    customer = new_id()
    await note(trail, customer, *range(length))
    await Sealer(trail, "parcels", folder).seal()
    return customer


async def test_rows_are_sealed_in_order_into_one_chain_per_customer(trail: Database, tmp_path: Path) -> None:
    ann, bob = new_id(), new_id()
    sealer = Sealer(trail, "parcels", tmp_path)
    for number in range(3):
        await note(trail, ann, number)
        await note(trail, bob, number)
    await note(trail, None, 0)
    assert await sealer.seal() == 7
    assert await sealer.seal() == 0
    await note(trail, ann, 3)
    assert await sealer.seal() == 1
    for chain, length in ((ann, 4), (bob, 3), (COMPANY_CHAIN, 1)):
        rows = await rows_of(trail, chain)
        assert [(row.seq, row.event["number"]) for row in rows] == [(n + 1, n) for n in range(length)]
        assert first_break(chain, rows) is None


async def test_what_was_rolled_back_is_not_on_the_trail(trail: Database, tmp_path: Path) -> None:
    async def record_and_fail() -> None:
        async with trail.transaction() as tx:
            record(tx, new_id(), "note", new_id())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await record_and_fail()
    assert await Sealer(trail, "parcels", tmp_path).seal() == 0


@pytest.mark.parametrize("column", ["event", "hash", "at"])
async def test_a_changed_row_is_found_at_its_place(trail: Database, tmp_path: Path, column: str) -> None:
    chain = await sealed_chain(trail, tmp_path)
    rows = await rows_of(trail, chain)
    changed = {"event": {"by": "somebody else"}, "hash": "0" * 64, "at": rows[3].at + timedelta(microseconds=1)}
    async with trail.transaction() as tx:
        await tx.execute(sa.update(audit_rows).where(audit_rows.c.seq == 4).values({column: changed[column]}))
    assert first_break(chain, await rows_of(trail, chain)) == 4


@pytest.mark.parametrize(
    ("tamper", "found_at"),
    [
        (lambda rows: [*rows[:2], *rows[3:]], 3),
        (lambda rows: rows[1:], 1),
        (lambda rows: [*rows[:1], rows[2], rows[1], *rows[3:]], 2),
        (lambda rows: [*rows[:3], rows[2], *rows[3:]], 4),
    ],
    ids=["removed", "the first removed", "reordered", "doubled"],
)
async def test_a_removed_or_moved_row_is_found_at_its_place(
    trail: Database, tmp_path: Path, tamper: Callable[[Rows], Rows], found_at: int
) -> None:
    chain = await sealed_chain(trail, tmp_path)
    assert first_break(chain, tamper(await rows_of(trail, chain))) == found_at


async def test_a_row_moved_into_another_chain_does_not_hold_there(trail: Database, tmp_path: Path) -> None:
    ann = await sealed_chain(trail, tmp_path)
    assert first_break(new_id(), await rows_of(trail, ann)) == 1


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a loaded machine is slow
@given(
    before=st.binary(min_size=32, max_size=32).map(bytes.hex),
    chain=st.uuids(),
    seq=st.integers(1, 2**63 - 1),
    at=st.datetimes(timezones=st.just(UTC)),
    event=st.dictionaries(st.text(st.characters(codec="utf-8")), JSON),
)
def test_a_row_is_sealed_by_the_hash_of_its_canonical_json(
    before: str, chain: UUID, seq: int, at: datetime, event: dict[str, Any]
) -> None:
    canonical = json.dumps(
        [before, str(chain), seq, at.isoformat(), event], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert audit_trail.row_hash(before, str(chain), seq, at, event) == hashlib.sha256(canonical.encode()).hexdigest()


async def test_what_was_recorded_is_read_back_with_its_instant(trail: Database, tmp_path: Path) -> None:
    customer = new_id()
    async with trail.transaction() as tx:
        now = tx.now
        record(tx, customer, "note", customer, text="Ärzte \u2028 你好", share=0.1, nested=[{"b": None, "a": True}])
    await Sealer(trail, "parcels", tmp_path).seal()
    [row] = await rows_of(trail, customer)
    assert row.at == now
    assert row.at.utcoffset() == timedelta()
    assert row.event == {
        "by": "system",
        "verb": "note",
        "subject_id": str(customer),
        "correlation_id": None,
        "text": "Ärzte \u2028 你好",
        "share": 0.1,
        "nested": [{"b": None, "a": True}],
    }


async def test_a_row_that_waits_for_its_seal_is_measured(trail: Database, tmp_path: Path) -> None:
    async def waits() -> float:
        async with trail.reading() as reader:
            reader.now += timedelta(minutes=5)
            [reading] = await audit_trail.measure(reader)
        return reading.value

    assert await waits() == 0
    await note(trail, new_id(), 1)
    assert 300 <= await waits() < 360
    await Sealer(trail, "parcels", tmp_path).seal()
    assert await waits() == 0


async def test_two_sealers_at_once_make_one_chain(trail: Database, tmp_path: Path) -> None:
    customer = new_id()

    async def write() -> None:
        for number in range(20):
            await note(trail, customer, number)

    async def seal() -> int:
        sealer, sealed = Sealer(trail, "parcels", tmp_path), 0
        for _ in range(20):
            sealed += await sealer.seal()
        return sealed

    _wrote, first, second = await asyncio.gather(write(), seal(), seal())
    rest = await Sealer(trail, "parcels", tmp_path).seal()
    assert first + second + rest == 20
    rows = await rows_of(trail, customer)
    assert [row.seq for row in rows] == list(range(1, 21))
    assert first_break(customer, rows) is None


async def test_a_batch_is_bounded(trail: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for bound in ("SEAL_BATCH", "SEAL_BATCH_ON_SQLITE"):
        monkeypatch.setattr(audit_trail, bound, 4)
    customer, sealer = new_id(), Sealer(trail, "parcels", tmp_path)
    await note(trail, customer, *range(6))
    assert [await sealer.seal() for _ in range(3)] == [4, 2, 0]
    assert first_break(customer, await rows_of(trail, customer)) is None


async def test_heads_are_signed_outside_the_database_and_tell_of_a_cut_off_tail(
    trail: Database, tmp_path: Path
) -> None:
    chain = await sealed_chain(trail, tmp_path)
    [line] = (tmp_path / "audit" / "parcels.heads.jsonl").read_text().splitlines()
    head = json.loads(line)
    key = signing_key(tmp_path / "keys" / "audit.pem").public_key()
    [[of_chain, seq, digest]] = head["heads"]
    covered = hashlib.sha256(f"{chain}:6:{digest}".encode()).digest()
    key.verify(bytes.fromhex(head["signature"]), b"parcels:sealed:" + covered)
    rows = await rows_of(trail, chain)
    assert (of_chain, seq, digest) == (str(chain), 6, rows[-1].hash)
    shortened = rows[:-1]
    assert first_break(chain, shortened) is None
    assert digest not in [row.hash for row in shortened]
    async with trail.reading() as reader:
        assert await reader.scalar(sa.select(audit_heads.c.hash).where(audit_heads.c.chain == chain)) == digest


async def test_a_head_that_a_dying_sealer_left_unsigned_is_signed_by_the_next(
    trail: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = await sealed_chain(trail, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(SignedHeads, "append", _die)
        with pytest.raises(Died):
            await sealed_chain(trail, tmp_path)
    await Sealer(trail, "parcels", tmp_path).seal()
    async with trail.reading() as reader:
        heads = await reader.rows(sa.select(audit_heads.c.chain, audit_heads.c.seq, audit_heads.c.hash))
    assert len(heads) == 2
    assert sorted(signed_heads(tmp_path)) == sorted((str(row.chain), row.seq, row.hash) for row in heads)
    assert signed in {row.chain for row in heads}


async def test_a_sealer_that_could_not_write_signs_once_it_can(
    trail: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, sealer = new_id(), Sealer(trail, "parcels", tmp_path)
    assert await sealer.seal() == 0
    await note(trail, chain, 1)
    with monkeypatch.context() as patched:
        patched.setattr(SignedHeads, "append", _die)
        with pytest.raises(Died):
            await sealer.seal()
    await sealer.seal()
    assert [head[:2] for head in signed_heads(tmp_path)] == [(str(chain), 1)]


async def test_many_heads_share_a_signature_and_a_line_stays_short(trail: Database, tmp_path: Path) -> None:
    chains = [new_id() for _ in range(HEADS_OF_A_LINE + 1)]
    async with trail.transaction() as tx:
        for chain in chains:
            record(tx, chain, "packed", new_id())
    await Sealer(trail, "parcels", tmp_path).seal()
    lines = (tmp_path / "audit" / "parcels.heads.jsonl").read_text().splitlines()
    assert [len(json.loads(line)["heads"]) for line in lines] == [HEADS_OF_A_LINE, 1]
    assert {head[0] for head in signed_heads(tmp_path)} == {str(chain) for chain in chains}


async def test_half_a_line_of_a_killed_writer_swallows_no_other(trail: Database, tmp_path: Path) -> None:
    first = await sealed_chain(trail, tmp_path)
    path = tmp_path / "audit" / "parcels.heads.jsonl"
    path.write_text(f"{path.read_text()}{path.read_text()[:70]}")
    second = await sealed_chain(trail, tmp_path)
    assert {head[0] for head in signed_heads(tmp_path)} == {str(first), str(second)}


class Died(Exception):
    """In place of the death of the process."""


def _die(_signed: SignedHeads, _heads: object) -> None:
    raise Died


def signed_heads(folder: Path) -> list[tuple[str, int, str]]:
    lines = (folder / "audit" / "parcels.heads.jsonl").read_text().splitlines()
    heads = [head for line in lines if line.endswith("}") for head in json.loads(line)["heads"]]
    return [(chain, seq, digest) for chain, seq, digest in heads]


async def test_the_sealer_runs_until_it_is_told_to_stop(trail: Database, tmp_path: Path) -> None:
    stop, customer = asyncio.Event(), new_id()
    await note(trail, customer, 0)
    running = asyncio.create_task(Sealer(trail, "parcels", tmp_path).run(stop))
    await eventually(lambda: rows_of(trail, customer))
    stop.set()
    await asyncio.wait_for(running, 5)


def test_the_signing_key_is_made_once_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "audit.pem"
    first, second = signing_key(path), signing_key(path)
    assert first.public_key() == second.public_key()
    assert path.stat().st_mode & 0o077 == 0
    assert [file.name for file in path.parent.iterdir()] == ["audit.pem"]
