"""`python -m tests.dependencies`: 0 when no pinned package has a known vulnerability, or when nobody could be asked."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.dependencies.advisories import AdvisoriesAway, excused_in, findings_about, judged, pins_in
from tests.infrastructure.requirements import ADVISORIES, required_names

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt")
EXCEPTIONS = Path(__file__).with_name("exceptions.toml")
DATABASE = "https://api.osv.dev/v1/"


def main(folder: Path = ROOT, exceptions: Path = EXCEPTIONS) -> int:
    database = os.environ.get("MAINSTAY_ADVISORIES_URL") or DATABASE
    pins, excused = pins_in(folder / lock for lock in LOCKS), excused_in(exceptions)
    try:
        findings = findings_about(pins, database)
    except AdvisoriesAway as away:
        _say_loudly(
            "THE DEPENDENCIES WERE NOT AUDITED",
            f"{database} gave no answer ({away}).",
            f"Known vulnerabilities in {len(pins)} packages would go unnoticed.",
            f"MAINSTAY_REQUIRE={ADVISORIES} makes this a failure; MAINSTAY_ADVISORIES_URL names another OSV database.",
        )
        return 1 if ADVISORIES in required_names() else 0
    wrong = judged(findings, excused, datetime.now(UTC).date())
    if wrong:
        _say_loudly("DEPENDENCIES WITH KNOWN VULNERABILITIES", *wrong, f"Update, or excuse it in {exceptions.name}.")
        return 1
    print(f"{len(pins)} dependencies audited: no known vulnerability, {len(excused)} excused.")
    return 0


def _say_loudly(title: str, *lines: str) -> None:
    edge = "!" * 100
    print("\n".join(["", edge, f"!!! {title}", *(f"!!! {line}" for line in lines), edge, ""]), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
