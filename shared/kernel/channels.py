"""Written channels (3.1): nothing oral is a request."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from shared.kernel.errors import Invalid


class OralRequest(Invalid):
    """Requests are made in writing, through one of the channels that the agreement names."""

    clause: ClassVar[str | None] = "3.1"


def check_written(channel: str, written: Collection[str], *, agreement_version: str | None = None) -> None:
    """Raises OralRequest, naming the channels that would do."""
    if channel not in written:
        raise OralRequest(
            f"Written channels are {', '.join(written)}.",
            field="channel",
            agreement_version=agreement_version,
            written_channels=list(written),
        )
