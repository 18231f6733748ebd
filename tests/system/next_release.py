"""The release after this one, made of a copy of the tree: a new column, a new event and a new field of an old one."""

from __future__ import annotations

import shutil
from pathlib import Path

from shared.kit.version import VERSION, release
from tests.system.installation import ROOT

MAJOR, MINOR, _ = release(VERSION)
NEXT = f"{MAJOR}.{MINOR + 1}.0"
NEWS = "acceptance-noted"
"""The event that this release does not know."""

CHANGES: list[tuple[str, str, str]] = [
    ("shared/kit/version.py", f'VERSION = "{VERSION}"', f'VERSION = "{NEXT}"'),
    (
        "shared/events/contracts/service.py",
        "    period_index: int = 1\n    accepted_at: AwareDatetime\n\n\nclass ContractWithdrawn",
        "    period_index: int = 1\n    accepted_at: AwareDatetime\n    minor: ClassVar[int] = 1\n"
        "    release: Text | None = None\n\n\n"
        "class AcceptanceNoted(ContractFact):\n"
        '    """Something that only this release tells."""\n\n'
        f'    kind: ClassVar[str] = "{NEWS}"\n\n\n'
        "class ContractWithdrawn",
    ),
    (
        "shared/events/contracts/service.py",
        "    ContractAccepted,\n    ContractWithdrawn,\n",
        "    ContractAccepted,\n    AcceptanceNoted,\n    ContractWithdrawn,\n",
    ),
    (
        "services/contracts/use_cases/contracts.py",
        "    tx.publish(_accepted(contract, acceptance, offered))\n",
        "    tx.publish(_accepted(contract, acceptance, offered))\n"
        "    from shared.events.contracts.service import AcceptanceNoted\n"
        "    tx.publish(AcceptanceNoted(customer_id=contract.customer_id, contract_id=contract.id,"
        " agreement_version=offered.version))\n",
    ),
    (
        "services/contracts/use_cases/contracts.py",
        "        accepted_at=acceptance.accepted_at,\n    )\n\n\nasync def _judge_acceptance",
        f'        accepted_at=acceptance.accepted_at,\n        release="{NEXT}",\n    )\n\n\n'
        "async def _judge_acceptance",
    ),
    (
        "services/billing/db/tables.py",
        '    sa.Column("void_reason", sa.String(40)),\n',
        '    sa.Column("void_reason", sa.String(40)),\n    sa.Column("drafted_by", sa.String(40)),\n',
    ),
    (
        "services/billing/db/invoices.py",
        "{**_frozen(invoice), **_moving(invoice)}",
        f'{{**_frozen(invoice), **_moving(invoice), "drafted_by": "{NEXT}"}}',
    ),
]
"""File, what it says, and what it says in the next release."""

REVISIONS = [
    (
        "add_the_release_to_invoices",
        'phase = "expand"',
        'op.add_column("invoices", sa.Column("drafted_by", sa.String(40)))',
    ),
    (
        "find_invoices_by_release",
        'phase = "expand"',
        'create_index_beside_traffic("ix_invoices_drafted_by", "invoices", ["drafted_by"])',
    ),
    (
        "trust_the_sum_of_an_invoice",
        f'phase = "contract"\noldest_version = "{NEXT}"',
        'op.drop_constraint("ck_invoices_total_is_sum_of_lines", "invoices")',
    ),
]
"""Of billing: what each adds or takes away."""


def next_release(folder: Path) -> Path:
    """The root of the tree, below `folder`."""
    root = folder / "next-release"
    for part in ("shared", "services", "deploy"):
        shutil.copytree(ROOT / part, root / part)
    for name, said, says in CHANGES:
        path = root / name
        text = path.read_text(encoding="utf-8")
        assert text.count(said) == 1, f"{name} has changed, so the next release is made differently: {said}"
        path.write_text(text.replace(said, says), encoding="utf-8")
    versions = root / "services" / "billing" / "migrations" / "versions"
    last = max(path.name[:4] for path in versions.glob("[0-9]*.py"))
    for number, (name, said, work) in enumerate(REVISIONS, start=int(last) + 1):
        (versions / f"{number:04}_{name}.py").write_text(
            f'"""{name.replace("_", " ").capitalize()}."""\n\n'
            "import sqlalchemy as sa\nfrom alembic import op\n"
            "from shared.kit.revisions.indexes import create_index_beside_traffic\n\n"
            f'revision = "{number:04}"\ndown_revision = "{number - 1:04}"\n{said}\n\n\n'
            f"def upgrade():\n    {work}\n",
            encoding="utf-8",
        )
    return root
