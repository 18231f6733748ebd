"""Secrets and disclosures: every state × verb, and who is shown or answers for what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.contracts.domain.disclosure import (
    DISCLOSURE_LIFECYCLE,
    DisclosedLater,
    DisclosureStatus,
    check_happened,
    reporting,
    settling,
)
from services.contracts.domain.judgements import judgements
from services.contracts.domain.secret import (
    SECRET_LIFECYCLE,
    ReplacedMeanwhile,
    SealedValue,
    Secret,
    SecretKind,
    SecretStatus,
    bound_to,
    revealing,
)
from services.contracts.domain.work_request import WorkStatus
from shared.kernel.errors import IllegalMove
from shared.kernel.ids import new_id
from tests.support.judging import Judged

NOW = datetime(2030, 2, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PARAMETERS = {"written_channels": ["portal", "api", "email"], "rotate_after_disclosure_hours": 24}

MAY_SEE: dict[str, Any] = {
    "agreement_version": "2026-1",
    "work_request_id": str(new_id()),
    "work_status": "in_progress",
    "is_its_technician": True,
    "is_on_its_server": True,
    "secret_id": str(new_id()),
    "secret_status": "kept",
    "secret_version": 1,
}
REPORTED: dict[str, Any] = {
    "kind": "password",
    "in_vault": True,
    "disclosed_by": "customer",
    "disclosed_at": NOW.isoformat(),
    "served": True,
    "channel": "portal",
}


def _settled(hours: float, *, replaced: bool) -> dict[str, Any]:
    at = NOW + hours * HOUR
    return {"reported_at": NOW.isoformat(), "at": at.isoformat(), "replaced": replaced, "in_vault": True}


JUDGED = [
    Judged(revealing, "revealed", "5.2", MAY_SEE),
    Judged(revealing, "NotTheTechnician", "5.2", {**MAY_SEE, "is_its_technician": False}),
    Judged(revealing, "NoSuchSecret", None, {**MAY_SEE, "is_on_its_server": False}),
    Judged(revealing, "NoSuchSecret", None, {**MAY_SEE, "secret_status": "removed"}),
    *(
        Judged(revealing, "WorkNotInProgress", "5.2", {**MAY_SEE, "work_status": status.value})
        for status in WorkStatus
        if status is not WorkStatus.IN_PROGRESS
    ),
    *(
        Judged(reporting, "customer", "5.2", {**REPORTED, "kind": kind, "in_vault": in_vault}, PARAMETERS)
        for kind in ("password", "ssh-key", "token")
        for in_vault in (True, False)
    ),
    Judged(reporting, "customer", "5.3", {**REPORTED, "kind": "other-information"}, PARAMETERS),
    Judged(reporting, "customer", "5.3", {**REPORTED, "served": False}, PARAMETERS),
    Judged(reporting, "company", "5.2", {**REPORTED, "disclosed_by": "company"}, PARAMETERS),
    Judged(reporting, "undetermined", "5.2", {**REPORTED, "disclosed_by": "unknown"}, PARAMETERS),
    Judged(reporting, "refused", "5.2", {**REPORTED, "channel": "telephone"}, PARAMETERS),
    Judged(settling, "replaced-in-time", "5.2", _settled(23.9, replaced=True), PARAMETERS),
    Judged(settling, "replaced-late", "5.2", _settled(24, replaced=True), PARAMETERS),
    Judged(settling, "open", "5.2", _settled(23.9, replaced=False), PARAMETERS),
    Judged(settling, "overdue", "5.2", _settled(24, replaced=False), PARAMETERS),
]
SECRET_MOVES = {("replace", SecretStatus.KEPT): SecretStatus.KEPT, ("remove", SecretStatus.KEPT): SecretStatus.REMOVED}
DISCLOSURE_MOVES = {
    ("miss", DisclosureStatus.REPORTED): DisclosureStatus.OVERDUE,
    ("replace", DisclosureStatus.REPORTED): DisclosureStatus.REPLACED,
    ("replace", DisclosureStatus.OVERDUE): DisclosureStatus.REPLACED,
}


@pytest.mark.parametrize("example", JUDGED, ids=str)
def test_every_example_is_judged_so_and_again(example: Judged) -> None:
    example.insist(judgements)


@pytest.mark.parametrize("status", SecretStatus)
@pytest.mark.parametrize("verb", SECRET_LIFECYCLE.verbs)
def test_a_secret_moves_as_the_table_says(status: SecretStatus, verb: str) -> None:
    if (verb, status) in SECRET_MOVES:
        assert SECRET_LIFECYCLE.after(verb, status) is SECRET_MOVES[verb, status]
    else:
        with pytest.raises(IllegalMove):
            SECRET_LIFECYCLE.after(verb, status)


@pytest.mark.parametrize("status", DisclosureStatus)
@pytest.mark.parametrize("verb", DISCLOSURE_LIFECYCLE.verbs)
def test_a_disclosure_moves_as_the_table_says(status: DisclosureStatus, verb: str) -> None:
    if (verb, status) in DISCLOSURE_MOVES:
        assert DISCLOSURE_LIFECYCLE.after(verb, status) is DISCLOSURE_MOVES[verb, status]
    else:
        with pytest.raises(IllegalMove):
            DISCLOSURE_LIFECYCLE.after(verb, status)


def a_secret() -> Secret:
    return Secret(
        id=new_id(),
        customer_id=new_id(),
        server_id=new_id(),
        name="root",
        kind=SecretKind.PASSWORD,
        kept_at=NOW,
        kept_by="ada",
    )


def test_a_replacement_names_the_version_that_it_replaces() -> None:
    secret = a_secret()
    secret.replace(replaces=1, now=NOW)
    assert (secret.current_version, secret.replaced_at) == (2, NOW)
    with pytest.raises(ReplacedMeanwhile):
        secret.replace(replaces=1, now=NOW)
    assert secret.current_version == 2


def test_what_has_not_happened_yet_is_not_reported() -> None:
    check_happened(NOW, NOW)
    with pytest.raises(DisclosedLater):
        check_happened(NOW + timedelta(microseconds=1), NOW)


def test_every_value_is_bound_to_a_place_of_its_own() -> None:
    server, secret = new_id(), new_id()
    places = {bound_to(server, secret, 1), bound_to(server, secret, 2), bound_to(secret, server, 1)}
    assert len(places) == 3


def test_nothing_sealed_is_shown_by_accident() -> None:
    sealed = SealedValue(
        secret_id=new_id(),
        number=1,
        key_id="file:00",
        wrapped_key=b"wrapped",
        nonce=b"nonce",
        ciphertext=b"ciphertext",
        kept_at=NOW,
        kept_by="ada",
    )
    assert not any(word in repr(sealed) for word in ("wrapped'", "nonce'", "ciphertext'"))
