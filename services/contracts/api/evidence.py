"""Evidence bundles: all that is on record, as a zip that can be checked without us."""

from __future__ import annotations

from asyncio import Semaphore
from collections.abc import Iterator
from typing import Any, BinaryIO
from uuid import UUID

from starlette.responses import Response, StreamingResponse

from services.contracts.api.customers import READERS
from services.contracts.domain.contract import NoSuchContract
from services.contracts.domain.evidence_bundle import BundleTooLarge
from services.contracts.domain.incident import NoSuchIncident
from services.contracts.use_cases.evidence import bundling
from services.contracts.use_cases.evidence.writing import SigningKeyAway
from shared.kernel.errors import Unavailable
from shared.kit.routing import CallerIn, HouseRouter, Read, RuntimeIn
from shared.kit.signing_keys import SigningKeys

router = HouseRouter("/v1", tag="evidence")

CHUNK_BYTES = 64 * 1024
MOST_AT_ONCE = 4
"""Bundles that one process makes at the same time: each costs as much as a thousand other answers."""

_making = Semaphore(MOST_AT_ONCE)


class BundlesBusy(Unavailable):
    """Other bundles are being made; try again in a moment."""


_ZIP: dict[str, Any] = {
    "response_class": Response,
    "response_model": None,
    "responses": {200: {"description": "The bundle", "content": {"application/zip": {}}}},
}


@router.get(
    "/contracts/{contract_id}/evidence",
    callers=READERS,
    refusals=[NoSuchContract, BundleTooLarge, BundlesBusy, SigningKeyAway],
    **_ZIP,
)
async def read_contract_evidence(contract_id: UUID, reader: Read, caller: CallerIn, runtime: RuntimeIn) -> Response:
    """Everything on record of a contract, signed; `mainstay verify-evidence FILE` checks it offline."""
    async with _a_place():
        bundle = await bundling.bundle_of_contract(
            reader, contract_id, lambda: SigningKeys(runtime.data_dir), only_customer=caller.only_customer
        )
    return _sent(bundle, f"evidence-contract-{contract_id}.zip")


@router.get(
    "/incidents/{incident_id}/evidence",
    callers=READERS,
    refusals=[NoSuchIncident, BundleTooLarge, BundlesBusy, SigningKeyAway],
    **_ZIP,
)
async def read_incident_evidence(incident_id: UUID, reader: Read, caller: CallerIn, runtime: RuntimeIn) -> Response:
    """Everything on record that concerns an incident, signed; `mainstay verify-evidence FILE` checks it offline."""
    async with _a_place():
        bundle = await bundling.bundle_of_incident(
            reader, incident_id, lambda: SigningKeys(runtime.data_dir), only_customer=caller.only_customer
        )
    return _sent(bundle, f"evidence-incident-{incident_id}.zip")


def _a_place() -> Semaphore:
    """Raises BundlesBusy."""
    if _making.locked():
        raise BundlesBusy()
    return _making


def _sent(bundle: BinaryIO, name: str) -> Response:
    size = bundle.seek(0, 2)
    bundle.seek(0)
    return StreamingResponse(
        _chunks(bundle),
        media_type="application/zip",
        headers={
            "content-length": str(size),
            "content-disposition": f'attachment; filename="{name}"',
            "x-content-type-options": "nosniff",
            "cache-control": "private, no-store",
        },
    )


def _chunks(bundle: BinaryIO) -> Iterator[bytes]:
    with bundle:
        while chunk := bundle.read(CHUNK_BYTES):
            yield chunk
