"""The gate of the published language."""

from __future__ import annotations

from typing import Any, ClassVar, Literal
from uuid import UUID

import pytest

from shared.events import gate
from shared.events.envelope import Amount, Fact
from shared.events.registry import FACTS


class BillSent(Fact):
    """A bill was sent."""

    producer: ClassVar[str] = "billing"
    aggregate: ClassVar[str] = "bill"
    kind: ClassVar[str] = "bill-sent"
    key: ClassVar[str] = "bill_id"

    bill_id: UUID
    amount: Amount
    amounts: list[Amount]
    channel: Literal["post", "email"]
    note: str | None = None


def changed(**changes: Any) -> type[Fact]:
    """BillSent with other annotations or class values; None removes a field."""
    annotations: dict[str, Any] = {
        "bill_id": UUID,
        "amount": Amount,
        "amounts": list[Amount],
        "channel": Literal["post", "email"],
        "note": str | None,
    }
    values: dict[str, Any] = {"note": None} if "note" not in changes else {}
    for name, value in changes.items():
        if name in {"minor", "major"}:
            values[name] = value
            annotations[name] = ClassVar[int]
        elif value is None:
            del annotations[name]
        else:
            annotations[name] = value
    names = {name: getattr(BillSent, name) for name in ("producer", "aggregate", "kind", "key")}
    annotations |= dict.fromkeys(names, ClassVar[str])
    space = {"__annotations__": annotations, "__module__": __name__, "__doc__": "A bill was sent.", **names, **values}
    return type("BillSent", (Fact,), space)


def published(*facts: type[Fact]) -> list[gate.Frozen]:
    return [
        gate.Frozen(fact.schema_name().rsplit(".", 1)[0], fact.minor, gate.schema_of(fact), _sample(fact))
        for fact in facts
    ]


def _sample(fact: type[Fact]) -> dict[str, Any]:
    return gate.sample_of(gate.schema_of(fact))


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: str(fact.kind))
def test_a_sample_of_every_fact_is_read_by_its_model_with_every_field_set(fact: type[Fact]) -> None:
    sample = _sample(fact)
    read = fact.model_validate(sample)
    assert set(sample) == set(fact.model_fields)
    assert not [name for name in fact.model_fields if getattr(read, name) is None]


def test_what_is_published_as_it_is_passes() -> None:
    assert gate.problems([BillSent], published(BillSent)) == []


def test_a_fact_without_a_frozen_schema_is_found() -> None:
    assert gate.problems([BillSent], []) == [
        "billing/bill-sent.v1.0: has no frozen schema: run `mainstay schemas freeze`"
    ]


def test_a_new_optional_field_needs_only_a_new_minor() -> None:
    newer = changed(extra=str | None, minor=1)
    newer.model_fields["extra"].default = None
    newer.model_rebuild(force=True)
    assert any(
        "differs from its frozen schema" in one for one in gate.problems([changed(extra=str)], published(BillSent))
    )
    assert gate.problems([newer], published(BillSent, newer)) == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"note": None}, "note: removed or renamed"),
        ({"bill_id": str}, "bill_id: changed from"),
        ({"amount": int}, "amount: changed from"),
        ({"amounts": list[int]}, "amounts[]: changed from"),
        ({"channel": Literal["post", "email", "fax"]}, "channel: new closed value 'fax'"),
        ({"channel": Literal["post", "web"]}, "channel: value 'email' removed"),
        ({"extra": str}, "extra: newly required"),
        ({"note": str}, "note: changed from"),
    ],
    ids=str,
)
def test_within_a_major_nothing_is_taken_away_or_changed(changes: dict[str, Any], complaint: str) -> None:
    newer = changed(**changes, minor=1)
    found = gate.problems([newer], published(BillSent, newer))
    assert any(complaint in one for one in found), found


def test_a_field_that_is_always_there_stays_so() -> None:
    older = gate.schema_of(BillSent)
    newer = {**older, "required": [name for name in older["required"] if name != "amount"]}
    assert gate.breaks(older, newer) == ["amount: no longer always there"]


def test_an_old_sample_that_is_not_read_any_more_is_found() -> None:
    newer = changed(extra=str, minor=1)
    assert any(
        "no longer reads the sample of billing/bill-sent.v1.0 at extra" in one
        for one in gate.problems([newer], published(BillSent))
    )


def test_words_about_a_field_may_change_at_any_time() -> None:
    older = gate.schema_of(BillSent)
    assert gate.bare({**older, "description": "Said otherwise.", "title": "Other"}) == gate.bare(older)
