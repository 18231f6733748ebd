"""Every state × verb of a work request, and when the company may refuse."""

from datetime import UTC, datetime

import pytest

from services.contracts.domain.agreement import Risk
from services.contracts.domain.work_request import WORK_LIFECYCLE, NothingToRefuse, WorkRequest, WorkStatus
from shared.kernel.errors import IllegalMove
from shared.kernel.ids import new_id

NOW = datetime(2030, 1, 1, tzinfo=UTC)
AFTER = {"complete": WorkStatus.COMPLETED, "refuse": WorkStatus.REFUSED, "withdraw": WorkStatus.WITHDRAWN}


def a_work_request(risk: Risk = Risk.HIGH) -> WorkRequest:
    return WorkRequest(
        id=new_id(),
        contract_id=new_id(),
        customer_id=new_id(),
        server_id=new_id(),
        operation_code="kernel-upgrade",
        risk=risk,
        agreement_version="2026-1",
        note=None,
        requested_at=NOW,
    )


@pytest.mark.parametrize("status", WorkStatus)
@pytest.mark.parametrize("verb", WORK_LIFECYCLE.verbs)
def test_a_work_request_is_decided_once(verb: str, status: WorkStatus) -> None:
    if status is WorkStatus.REQUESTED:
        assert WORK_LIFECYCLE.after(verb, status) is AFTER[verb]
    else:
        with pytest.raises(IllegalMove):
            WORK_LIFECYCLE.after(verb, status)


@pytest.mark.parametrize("threshold", Risk)
@pytest.mark.parametrize("risk", Risk)
def test_work_may_be_refused_from_the_threshold_up(risk: Risk, threshold: Risk) -> None:
    work = a_work_request(risk)
    if risk >= threshold:
        work.refuse(threshold=threshold, reason="too risky", by="tech", now=NOW)
        assert (work.status, work.reason) == (WorkStatus.REFUSED, "too risky")
    else:
        with pytest.raises(NothingToRefuse) as refused:
            work.refuse(threshold=threshold, reason="too risky", by="tech", now=NOW)
        assert refused.value.cited_clause == "1.1"
        assert work.status is WorkStatus.REQUESTED
