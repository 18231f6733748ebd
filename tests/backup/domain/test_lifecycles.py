"""Every state and verb of the three lifecycles."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from services.backup.domain.protection import PROTECTION_LIFECYCLE, ProtectionStatus
from services.backup.domain.restore import RESTORE_LIFECYCLE, RestoreStatus
from services.backup.domain.run import RUN_LIFECYCLE, RunStatus
from shared.kernel.errors import IllegalMove
from shared.kernel.lifecycle import Lifecycle

LEGAL: list[tuple[Lifecycle[Any], dict[tuple[str, str], str], type[StrEnum]]] = [
    (
        PROTECTION_LIFECYCLE,
        {("end", "active"): "ended", ("resume", "ended"): "active", ("purge", "ended"): "purged"},
        ProtectionStatus,
    ),
    (
        RUN_LIFECYCLE,
        {
            ("succeed", "due"): "succeeded",
            ("succeed", "failed"): "succeeded",
            ("succeed", "missed"): "succeeded",
            ("fail", "due"): "failed",
            ("fail", "failed"): "failed",
            ("fail", "missed"): "missed",
            ("give_up", "due"): "missed",
            ("give_up", "failed"): "missed",
        },
        RunStatus,
    ),
    (
        RESTORE_LIFECYCLE,
        {
            ("complete", "requested"): "completed",
            ("fail", "requested"): "failed",
            ("discard", "completed"): "discarded",
        },
        RestoreStatus,
    ),
]
CASES = [
    pytest.param(lifecycle, verb, state, moves.get((verb, state)), id=f"{lifecycle.noun}-{state}-{verb}")
    for lifecycle, moves, states in LEGAL
    for verb in lifecycle.verbs
    for state in states
]


@pytest.mark.parametrize(("lifecycle", "verb", "state", "target"), CASES)
def test_a_verb_leads_where_the_table_says(
    lifecycle: Lifecycle[Any], verb: str, state: StrEnum, target: str | None
) -> None:
    if target is not None:
        assert lifecycle.after(verb, state) == target
        return
    with pytest.raises(IllegalMove) as refused:
        lifecycle.after(verb, state)
    assert refused.value.facts["state"] == state
