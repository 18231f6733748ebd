"""Where each service has a volume of its own, its files and its audit key come out of it and go into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.moving.folders import Folders
from deploy.services import SERVICES
from tests.deploy.cli.telling import seal_rows
from tests.deploy.cli.test_commands import mainstay, told
from tests.deploy.moving.conftest import Company


@pytest.mark.parametrize(
    ("path", "services"),
    [
        ("audit/billing.heads.jsonl", ["billing"]),
        ("audit/keys.jsonl", list(SERVICES)),
        ("evidence/ab/abcdef", ["billing"]),
        ("sources/abcdef", ["backup"]),
        ("repositories/1/config", ["backup"]),
    ],
)
def test_what_lay_in_one_folder_goes_to_the_service_that_asks_for_it(path: str, services: list[str]) -> None:
    root = Path("/srv/mainstay")
    assert Folders(root).places_of(path, packed_each=False) == [root / path]
    assert Folders(root, each=True).places_of(path, packed_each=False) == [root / name / path for name in services]
    assert Folders(root, each=True).places_of(f"billing/{path}", packed_each=True) == [root / "billing" / path]


def test_an_installation_moves_from_one_folder_to_one_for_each_service_and_on(company: Company) -> None:
    company.go_to("containers")
    assert company.restore("--folder-per-service")["files_written"] == len(SERVICES) + 1
    for service in SERVICES:
        company.go_to(f"containers/{service}")
        seal_rows(service, 3)
        assert told("audit", "verify", service)["breaks"] == []
    containers = company.go_to("containers")
    company.go_to("containers/notify")
    told("keys", "rotate", "audit")

    containers = company.go_to("containers")
    told("backup-system", f"{company.backup}-2", "--folder-per-service", *company.keys)
    elsewhere = company.go_to("elsewhere")
    done = mainstay("restore-system", f"{company.backup}-2", *company.keys)
    assert (done.returncode, "say --folder-per-service" in done.stderr) == (1, True)
    told("restore-system", f"{company.backup}-2", "--folder-per-service", *company.keys)
    keys = [(elsewhere / service / "keys/audit.pem").read_bytes() for service in SERVICES]
    assert keys == [(containers / service / "keys/audit.pem").read_bytes() for service in SERVICES]
    assert len(set(keys)) == 2, "one that was replaced, and one that all began with"
    for service in SERVICES:
        company.go_to(f"elsewhere/{service}")
        told_of = told("audit", "verify", service)
        assert (told_of["breaks"], told_of["rows"]) == ([], 9 if service == "notify" else 8)
    evidence = "billing/evidence/ab/abcdef"
    assert (elsewhere / evidence).read_bytes() == (containers / evidence).read_bytes()
