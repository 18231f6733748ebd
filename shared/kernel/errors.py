"""Refusals: every way the product says no, as plain exceptions that know their public title and clause."""

from __future__ import annotations

from typing import Any, ClassVar


class Refusal(Exception):
    """The request was refused."""

    clause: ClassVar[str | None] = None

    def __init__(
        self,
        detail: str = "",
        *,
        field: str | None = None,
        clause: str | None = None,
        agreement_version: str | None = None,
        **facts: Any,
    ) -> None:
        """`detail` is shown to the caller, so it holds no secret and no personal data.

        `field` names the offending input as a dotted path (`amount.currency`). `clause` and
        `agreement_version` cite the agreement; `facts` are JSON-ready extras of the problem.
        """
        super().__init__(detail or self.title())
        self.detail = detail or self.title()
        self.field = field
        self.cited_clause = clause or type(self).clause
        self.agreement_version = agreement_version
        self.facts = facts

    @classmethod
    def code(cls) -> str:
        """The stable public name of this refusal."""
        return cls.__name__

    @classmethod
    def title(cls) -> str:
        """The first line of the class docstring: the public title."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]


class Invalid(Refusal):
    """The input does not have the required form."""


class Unauthenticated(Refusal):
    """A valid bearer token is required."""


class Forbidden(Refusal):
    """This caller may not do that."""


class NotFound(Refusal):
    """There is no such thing, or it is not yours."""


class Conflict(Refusal):
    """The present state does not allow that."""


class Gone(Refusal):
    """What was asked for is no longer kept."""


class TooLarge(Refusal):
    """The body is larger than this endpoint takes."""


class WrongMediaType(Refusal):
    """The content is of a type that this endpoint does not take."""


class Unavailable(Refusal):
    """A part that is needed for this is away; try again later."""

    retry_after_seconds: ClassVar[int] = 2


class NoRoom(Unavailable):
    """There is no room left to store this; nothing was stored. Try again when there is."""

    retry_after_seconds: ClassVar[int] = 30


class IllegalMove(Conflict):
    """The state does not allow this verb."""


class StaleWrite(Conflict):
    """Somebody else changed this in the meantime."""
