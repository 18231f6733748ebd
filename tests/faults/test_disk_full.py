"""The disk is full: a clear no, nothing half stored, and work goes on by itself when there is room again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import File, UploadFile

from deploy.trails import verify_trail
from services.backup.gateways.files import FileStore
from services.backup.gateways.keys import RepositoryKeys
from services.billing.db.evidence_files import EvidenceFiles
from services.billing.domain.evidence import Evidence
from shared.kernel.errors import NoRoom
from shared.kernel.ids import new_id
from shared.kit import audit_trail
from shared.kit.app import service_app
from shared.kit.audit_trail import Sealer
from shared.kit.auth import Role
from shared.kit.db import Database
from shared.kit.key_files import content_of
from shared.kit.routing import HouseRouter, Tx
from tests.faults import history
from tests.faults.workload import Workload
from tests.infrastructure import requirements, small_disk
from tests.infrastructure.small_disk import SmallDisk
from tests.infrastructure.waiting import eventually
from tests.kit.support import UploadView, create_tables, parcels, running_parcels
from tests.system import installation

CHAINS = 100
"""Their heads take two pages of the disk."""
CONTENT = b"%PDF-" + bytes(600_000)


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    with requirements.or_do_without("tmpfs"), small_disk.mounted(getattr(request, "param", 2)) as mounted:
        yield mounted


@pytest.mark.parametrize("disk", [48], indirect=True)
async def test_customers_meet_a_clear_no_while_the_disk_is_full_and_are_served_when_it_is_not(disk: SmallDisk) -> None:
    with installation.embedded(MAINSTAY_DATA_DIR=str(disk.path / "data")) as company:
        async with Workload(company.url, seed=1, customers=2) as workload:
            refused: list[httpx.Response] = []

            async def keep_refusals(answer: httpx.Response) -> None:
                if answer.status_code >= 500:
                    await answer.aread()
                    refused.append(answer)

            workload.deployment.http.event_hooks["response"].append(keep_refusals)
            disk.fill()
            signing = asyncio.create_task(workload.sign())
            try:
                await eventually(lambda: _true(len(refused) > 5), timeout=60, what="refusals")
                async with httpx.AsyncClient(base_url=company.url) as client:
                    assert (await client.get("/livez")).status_code == 200
                    assert (await client.get("/contracts/v1/clock")).status_code == 200
            finally:
                disk.free()
            assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "NoRoom")}
            assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
            await signing
        company.processes["embedded"].insist_on_running()
        assert not [name for name in disk.files() if name.endswith(".part") or ".mainstay-" in name]
        await history.check(company, workload.history)


async def test_a_transaction_that_finds_no_room_stores_nothing_and_the_next_one_with_room_works(
    disk: SmallDisk,
) -> None:
    database = Database(f"sqlite:///{disk.path}/full.db")
    await create_tables(database)

    async def store(count: int) -> None:
        async with database.transaction() as tx:
            await tx.insert(parcels, [{"id": new_id(), "label": f"{new_id()}" * 5} for _ in range(count)])

    await store(10)
    disk.fill()
    with pytest.raises(NoRoom):
        await store(5_000)
    async with database.reading() as reader:
        assert await reader.scalar(sa.select(sa.func.count()).select_from(parcels)) == 10
    disk.free()
    await store(10)
    async with database.reading() as reader:
        assert await reader.scalar(sa.select(sa.func.count()).select_from(parcels)) == 20
        assert await reader.scalar(sa.text("PRAGMA integrity_check")) == "ok"
    await database.close()


async def _put_evidence(folder: Path) -> None:
    evidence = Evidence("proof.pdf", "application/pdf", len(CONTENT), sha256(CONTENT).hexdigest())
    await EvidenceFiles(folder / "evidence").store(evidence, CONTENT)


async def _put_server_file(folder: Path) -> None:
    await FileStore(folder).store(new_id(), "etc/shop/settings.toml", CONTENT)


async def _make_key(folder: Path) -> None:
    content_of(folder / "keys" / "issuer.json", lambda: CONTENT)


async def _make_master_key(folder: Path) -> None:
    RepositoryKeys(folder / "keys" / "backup-master.key").password_of("one", make=True)


@pytest.mark.parametrize(
    ("store", "trouble"),
    [(_put_evidence, NoRoom), (_put_server_file, NoRoom), (_make_key, OSError), (_make_master_key, OSError)],
)
@pytest.mark.parametrize("left", [0, 300_000])
async def test_a_file_that_finds_no_room_leaves_no_part_of_itself(
    disk: SmallDisk, store: Callable[[Path], Any], trouble: type[Exception], left: int
) -> None:
    disk.fill(but_for=left)
    if store is not _make_master_key or not left:
        with pytest.raises(trouble):
            await store(disk.path)
        assert disk.files() == set()
    disk.free()
    await store(disk.path)
    assert len(disk.files()) == 1


@pytest.mark.parametrize("left", [0, 4096])
async def test_heads_that_find_no_room_are_signed_when_there_is_some(
    disk: SmallDisk, tmp_path: Path, left: int
) -> None:
    async with running_parcels(f"sqlite:///{tmp_path}/parcels.db", disk.path) as service:
        sealer = Sealer(service.runtime.database, "parcels", disk.path)
        disk.fill(but_for=left)
        async with service.runtime.database.transaction() as tx:
            for _ in range(CHAINS):
                audit_trail.record(tx, new_id(), "note", new_id())
        for _ in range(2):
            with pytest.raises(OSError, match="space"):
                await sealer.seal()
        disk.free()
        await sealer.seal()
        assert await verify_trail(service.runtime) == (CHAINS, CHAINS, [])


router = HouseRouter("/v1/uploads", tag="uploads", max_body_size=8 * 1024 * 1024)


@router.post("", callers={Role.SUPPORT}, status_code=201)
async def take_upload(file: Annotated[UploadFile, File()], tx: Tx) -> UploadView:
    """Say how large it is."""
    return UploadView(id=new_id(), size=len(await file.read()))


async def test_an_upload_needs_no_temporary_folder(
    disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_parcels(f"sqlite:///{tmp_path}/parcels.db", tmp_path) as service:
        service.app = service_app(
            service.runtime, title="Uploads", description="Throw-away.", routers=[router], handlers=service.handlers
        )
        disk.fill()
        monkeypatch.setattr("tempfile.tempdir", str(disk.path))
        answer = await service.as_role(Role.SUPPORT).post("/v1/uploads", files={"file": bytes(5_000_000)})
        assert (answer.status_code, answer.json()["size"]) == (201, 5_000_000)


async def _true(value: bool) -> bool:
    return value
