"""The launcher: its seams are in the product, and it says so when one is not."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from tests.faults import seams
from tests.faults.crashing import CRASHING
from tests.system.installation import ROOT


def test_every_seam_is_in_the_product() -> None:
    command = [*CRASHING, *seams.SEAMS, "--", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("target", ["shared.kit.db:Database.nothing", "shared.kit.nothing:Database"])
def test_a_seam_that_is_gone_is_no_silent_survival(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(seams.SEAMS, "gone", replace(seams.SEAMS["before-commit"], target=target))
    with pytest.raises(seams.SeamGone, match="gone: there is no"):
        seams.install("gone")


def test_a_process_of_a_kind_and_service_knows_its_seams() -> None:
    assert "mail-taken" in seams.seams_of("worker-notify-2")
    assert "mail-taken" not in seams.seams_of("worker-billing-1")
    assert seams.seams_of("api-backup") == ["keys-asked"]
    assert seams.seams_of("front") == ["answer-passed-on"]
