"""Cursor paging by a sortable id; a page is bounded and the cursor is opaque."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel

from shared.kernel.errors import Invalid

PAGE_SIZE = 50
LARGEST_PAGE = 200

T = TypeVar("T")
V = TypeVar("V", bound=BaseModel)


class UnknownCursor(Invalid):
    """This cursor was not given out here."""


class Page(BaseModel, Generic[V]):
    """`next_cursor` is absent on the last page."""

    items: list[V]
    next_cursor: str | None = None


@dataclass(frozen=True)
class PageRequest:
    """Rows after `after` in id order, at most `limit`."""

    limit: int
    after: UUID | None

    def page(self, found: Sequence[T], view: Callable[[T], V], id_of: Callable[[T], UUID]) -> Page[V]:
        """`found` holds up to `limit` + 1 rows: the one too many tells that there is more."""
        shown = found[: self.limit]
        more = len(found) > self.limit
        return Page[Any](
            items=[view(item) for item in shown], next_cursor=_cursor(id_of(shown[-1])) if more and shown else None
        )


async def _page_request(
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE_SIZE,
    cursor: Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before")] = None,
) -> PageRequest:
    return PageRequest(limit=limit, after=_id_in(cursor) if cursor else None)


Paging = Annotated[PageRequest, Depends(_page_request)]


def _cursor(last: UUID) -> str:
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def _id_in(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error):
        raise UnknownCursor(field="cursor") from None
