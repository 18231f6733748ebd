"""A partner's feed: its events numbered without gaps, read behind an opaque cursor, kept for thirty days."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.kernel.errors import Gone, Invalid

KEPT_FOR = timedelta(days=30)


class UnknownCursor(Invalid):
    """This cursor was not given out to this partner."""


class CursorTooOld(Gone):
    """Events behind this cursor are no longer kept; go on from the oldest cursor."""


@dataclass(frozen=True)
class PartnerEvent:
    seq: int
    event: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class Stream:
    """Events up to `purged_seq` are gone, up to `last_seq` have happened."""

    partner_id: UUID
    last_seq: int = 0
    purged_seq: int = 0

    def after(self, cursor: str | None) -> int:
        """The seq behind which to read; raises UnknownCursor, CursorTooOld."""
        if cursor is None:
            return self.purged_seq
        seq = self._seq_in(cursor)
        if seq < self.purged_seq:
            raise CursorTooOld(oldest_cursor=self.cursor_at(self.purged_seq))
        return seq

    def cursor_at(self, seq: int) -> str:
        return base64.urlsafe_b64encode(self.partner_id.bytes + seq.to_bytes(8)).decode()

    def _seq_in(self, cursor: str) -> int:
        try:
            content = base64.b64decode(cursor, altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise UnknownCursor(field="cursor") from None
        seq = int.from_bytes(content[16:])
        if len(content) != 24 or content[:16] != self.partner_id.bytes or seq > self.last_seq:
            raise UnknownCursor(field="cursor")
        return seq


def redacted_event(
    *, id: UUID, source: str, type: str, subject: str, time: datetime, seq: int, data: dict[str, Any]
) -> dict[str, Any]:
    """The structured CloudEvent a partner reads; `sequence` counts from 1 in the partner's own stream."""
    return {
        "specversion": "1.0",
        "id": str(id),
        "source": source,
        "type": type,
        "subject": subject,
        "time": time.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "sequence": str(seq),
        "data": data,
    }
