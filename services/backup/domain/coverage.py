"""What the contracts service told about one service: which servers it covers, how, and whether it still runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Parameters of the accepted agreement version, for one period."""

    agreement_version: str
    period_index: int
    period_ends_at: datetime
    every_hours: int
    restore_target_hours: int
    retention_days: int
    remote_every_hours: int | None = None
    """None where nobody told: then there is no remote backup to be had."""

    @property
    def local(self) -> Terms:
        return replace(self, remote_every_hours=None)

    @property
    def remote(self) -> Terms | None:
        """The same with the interval of remote backups."""
        hours = self.remote_every_hours
        return None if hours is None else replace(self, every_hours=hours, remote_every_hours=None)


@dataclass(eq=False, kw_only=True)
class Coverage:
    """Facts may come in any order: the highest period wins, and an end counts until something later lifts it."""

    contract_id: UUID
    customer_id: UUID
    agreement_version: str
    server_ids: list[UUID] | None = None
    terms: Terms | None = None
    ended_period: int | None = None
    ended_at: datetime | None = None
    retention_days: int | None = None
    extended_period: int | None = None
    extended_until: datetime | None = None
    version: int = 0

    @property
    def followed_terms(self) -> Terms | None:
        """The terms with the period as long as the service is carried on: an extension counts for its own period."""
        terms, until = self.terms, self.extended_until
        if terms is None or until is None or terms.period_index != self.extended_period:
            return terms
        return replace(terms, period_ends_at=max(terms.period_ends_at, until))

    @property
    def is_running(self) -> bool:
        return self.ended_at is None

    @property
    def is_complete(self) -> bool:
        """Enough is known to protect: the servers and the terms."""
        return self.server_ids is not None and self.terms is not None

    def register(self, server_ids: list[UUID], terms: Terms) -> None:
        self.server_ids = list(server_ids)
        self._take(terms)

    def renew(self, terms: Terms) -> None:
        self._take(terms)
        if self.ended_period is not None and terms.period_index > self.ended_period:
            self._lift_end()

    def hold(self, period_index: int) -> None:
        """The service goes on past the end of that period."""
        if self.ended_period is not None and period_index >= self.ended_period:
            self._lift_end()

    def extend(self, period_index: int, until: datetime) -> None:
        """The service goes on past the end of that period, and comes back if it had ended with it."""
        if self.extended_period is None or period_index >= self.extended_period:
            self.extended_period, self.extended_until = period_index, until
        self.hold(period_index)

    def expire(self, period_index: int, *, ended_at: datetime, retention_days: int) -> None:
        served_later = self.terms is not None and period_index < self.terms.period_index
        ended_later = self.ended_period is not None and period_index < self.ended_period
        if not served_later and not ended_later:
            self.ended_period, self.ended_at, self.retention_days = period_index, ended_at, retention_days

    def refund(self, last_period_index: int, *, ended_at: datetime, retention_days: int) -> None:
        """The service ended for good; `last_period_index` is the last one that was ever told of."""
        # As if it ended with a period after that: nothing that is heard later lifts it.
        self.expire(last_period_index + 1, ended_at=ended_at, retention_days=retention_days)

    def _take(self, terms: Terms) -> None:
        if self.terms is None or terms.period_index >= self.terms.period_index:
            self.terms = terms
            self.agreement_version = terms.agreement_version

    def _lift_end(self) -> None:
        self.ended_period = self.ended_at = self.retention_days = None
