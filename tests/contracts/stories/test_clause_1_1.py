"""Clause 1.1: the company may refuse operations that may crash a system or lose data, or does them in safety only."""

from datetime import timedelta

import pytest

from shared.events.contracts import WorkAccepted, WorkAcknowledged, WorkAssessed, WorkRefused, WorkStarted
from tests.contracts.stories.work import HOUR, REASON, WorkStory
from tests.contracts.story import START, problem


async def test_the_company_refuses_work_of_high_risk_with_a_reason_and_that_is_final_and_free(work: WorkStory) -> None:
    """Given a registered service, when the customer asks for work of high risk, then the company may refuse it."""
    await work.active()
    assert await work.assessed("disk-repartition") == "high"
    refused = await work.did("refuse", REASON, by=work.eve)
    assert (refused["status"], refused["reason"]) == ("refused", REASON["reason"])
    assert (await work.work_decisions())[-1] == ("work-request.refuse", "refused", "1.1", "2026-1")
    # It is final.
    for verb, body in (("accept", None), ("refuse", REASON), ("assess", {"rehearsed": False})):
        assert problem(await work.tells(verb, body, by=work.eve)) == (409, "IllegalMove", None)
    # It costs nothing: nobody is told of a fee, and the reason stays between the two.
    [fact] = await work.told(WorkRefused)
    assert "fee" not in str(fact.model_dump())
    assert REASON["reason"] not in str([envelope.data for envelope in await work.service.envelopes()])


async def test_work_of_lower_risk_is_not_refused(work: WorkStory) -> None:
    """Given work whose risk is below the agreement's threshold, when the company refuses, then it may not."""
    await work.active()
    assert await work.assessed("service-restart") == "medium"
    answer = await work.tells("refuse", REASON, by=work.eve)
    assert problem(answer) == (409, "NothingToRefuse", "1.1")
    assert answer.json()["agreement_version"] == "2026-1"
    assert (await work.work_shown())["status"] == "assessed"


async def test_a_verified_backup_younger_than_a_day_lowers_the_risk(work: WorkStory) -> None:
    """Given a kernel upgrade of high risk, when a backup was verified today, then it is of medium risk."""
    await work.active()
    assert await work.assessed("kernel-upgrade") == "high"
    await work.backed_up(START - 25 * HOUR)
    assert (await work.did("assess", {"rehearsed": False}, by=work.eve))["assessed_risk"] == "high"
    await work.backed_up(START - 23 * HOUR)
    assert (await work.did("assess", {"rehearsed": False}, by=work.eve))["assessed_risk"] == "medium"
    assert (await work.did("accept", by=work.eve))["status"] == "accepted"
    assert [fact.risk for fact in await work.told(WorkAssessed)] == ["high", "high", "medium"]
    verdicts = [verdict for kind, verdict, _, _ in await work.work_decisions() if kind == "work-request.assess"]
    assert verdicts == ["high", "high", "medium"]


async def test_a_rehearsal_on_a_copy_lowers_the_risk(work: WorkStory) -> None:
    """Given a database migration of high risk, when the technician rehearsed it, then it is less likely to go wrong."""
    await work.active()
    assert await work.assessed("database-migration") == "high"
    assert (await work.did("assess", {"rehearsed": True}, by=work.eve))["assessed_risk"] == "medium"


async def test_work_of_high_risk_is_accepted_on_a_signed_acknowledgement_and_a_fresh_verified_backup(
    work: WorkStory,
) -> None:
    """Given work of high risk, when the customer has signed and a backup is fresh, then the company may accept it."""
    await work.active()
    assert await work.assessed("disk-repartition") == "high"
    # Neither: refused. Only the signature: refused. Only the backup: refused.
    assert problem(await work.tells("accept", by=work.eve)) == (409, "NotAcknowledged", "1.1")
    await work.backed_up(START - HOUR)
    answer = await work.tells("accept", by=work.eve)
    assert problem(answer) == (409, "NotAcknowledged", "1.1")
    assert answer.json()["agreement_version"] == "2026-1"
    assert (await work.acknowledge()).json()["acknowledged"] is True
    assert (await work.did("accept", by=work.eve))["status"] == "accepted"
    assert len(await work.told(WorkAcknowledged)) == len(await work.told(WorkAccepted)) == 1
    assert (await work.work_decisions())[-2:] == [
        ("work-request.acknowledge", "acknowledged", "1.1", "2026-1"),
        ("work-request.accept", "accepted", "1.1", "2026-1"),
    ]


async def test_a_signature_without_a_fresh_verified_backup_is_not_enough(work: WorkStory) -> None:
    """Given a signed acknowledgement, when the newest verified backup is a day old, then the work is not accepted."""
    await work.active()
    await work.assessed("disk-repartition")
    assert (await work.acknowledge()).status_code == 200
    assert problem(await work.tells("accept", by=work.eve)) == (409, "NoFreshBackup", "1.1")
    await work.backed_up(START - 24 * HOUR)
    assert problem(await work.tells("accept", by=work.eve)) == (409, "NoFreshBackup", "1.1")
    assert await work.told(WorkAccepted) == []


async def test_the_acknowledgement_is_of_the_exact_text_and_kept_like_an_acceptance(work: WorkStory) -> None:
    """Given the text about a risk, when the customer signs it, then text, hash, who, when, where and how are kept."""
    await work.active()
    await work.assessed("disk-repartition")
    text = await work.risk_text("zh")
    assert "磁盘重新分区" in text["text"]
    assert "2026-1" in text["text"]
    # Another hash is another text.
    assert problem(await work.acknowledge(text_sha256="0" * 64)) == (409, "RiskTextDiffers", "1.1")
    # An oral word is none (3.1).
    assert problem(await work.acknowledge(channel="phone")) == (422, "OralRequest", "3.1")
    answer = await work.acknowledge(language="zh", text_sha256=text["text_sha256"], channel="email")
    assert answer.status_code == 200
    kept = (await work.work_shown())["acknowledgement"]
    assert (kept["text"], kept["text_sha256"], kept["language"]) == (text["text"], text["text_sha256"], "zh")
    assert (kept["channel"], kept["acknowledged_by"]) == ("email", "dev-customer")
    assert "address" not in kept


async def test_an_acknowledgement_is_of_one_assessment(work: WorkStory) -> None:
    """Given a signed acknowledgement, when the risk is assessed again, then the customer has to sign again."""
    await work.active()
    await work.assessed("disk-repartition")
    before = await work.risk_text()
    await work.acknowledge()
    await work.service.advance(by=HOUR)
    await work.backed_up(START)
    assert (await work.did("assess", {"rehearsed": False}, by=work.eve))["acknowledged"] is False
    assert problem(await work.tells("accept", by=work.eve)) == (409, "NotAcknowledged", "1.1")
    answer = await work.acknowledge(text_sha256=before["text_sha256"])
    assert problem(answer) == (409, "RiskTextDiffers", "1.1")


@pytest.mark.parametrize("signed", [False, True])
async def test_work_of_high_risk_does_not_start_without_signature_and_fresh_backup(
    work: WorkStory, signed: bool
) -> None:
    """Given work that a fresh backup had made less risky, when that backup is old at the start, then it does not start.

    It starts when the customer has signed, and the next backup is verified.
    """
    await work.active()
    await work.backed_up(START - HOUR)
    tomorrow = START + timedelta(days=1)
    await work.scheduled("kernel-upgrade", work.slot(tomorrow, 8))
    await work.service.advance(to=tomorrow)
    answer = await work.tells("start", by=work.eve)
    assert problem(answer) == (409, "NotAcknowledged", "1.1")
    if signed:
        assert (await work.acknowledge()).status_code == 200
        assert problem(await work.tells("start", by=work.eve)) == (409, "NoFreshBackup", "1.1")
    assert await work.told(WorkStarted) == []
    await work.backed_up(tomorrow)
    assert (await work.did("start", by=work.eve))["status"] == "in_progress"
    assert (await work.work_decisions())[-1] == ("work-request.start", "in_progress", "1.1", "2026-1")
