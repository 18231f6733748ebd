"""CloudEvents 1.0 envelope and the base of every fact."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.kernel.errors import Invalid
from shared.kernel.money import Money


class UnreadableEvent(Invalid):
    """These bytes are not an event of a known major version."""


class Amount(BaseModel):
    """Money on the wire: whole minor units and an ISO 4217 code."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    minor: int
    currency: str = Field(min_length=3, max_length=3)

    @classmethod
    def of(cls, money: Money) -> Amount:
        return cls(minor=money.minor, currency=money.currency)

    def money(self) -> Money:
        return Money(self.minor, self.currency)


class Fact(BaseModel):
    """Something that happened, in the past tense. Never holds personal data, secrets or tokens.

    Subclasses state `kind` (kebab case), `aggregate` and `key` (the name of the field that identifies
    the aggregate); `for_partners` names the fields a linked partner may read (None: not public).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    producer: ClassVar[str]
    aggregate: ClassVar[str]
    kind: ClassVar[str]
    key: ClassVar[str]
    major: ClassVar[int] = 1
    minor: ClassVar[int] = 0
    for_partners: ClassVar[frozenset[str] | None] = None

    customer_id: UUID

    @classmethod
    def type_name(cls) -> str:
        """`mainstay.billing.invoice-issued.v1`"""
        return f"mainstay.{cls.producer}.{cls.kind}.v{cls.major}"

    @classmethod
    def topic(cls) -> str:
        """`billing.invoice`"""
        return f"{cls.producer}.{cls.aggregate}"

    @classmethod
    def schema_name(cls) -> str:
        """`billing/invoice-issued.v1.0`, the frozen schema under shared/events/schemas."""
        return f"{cls.producer}/{cls.kind}.v{cls.major}.{cls.minor}"

    def aggregate_id(self) -> UUID:
        value: UUID = getattr(self, self.key)
        return value

    def redacted(self) -> dict[str, Any] | None:
        """What a linked partner reads, JSON-ready; None when the fact is not public."""
        if self.for_partners is None:
            return None
        return self.model_dump(mode="json", include=set(self.for_partners) | {"customer_id"})


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """One event as it travels; `data` is the fact's JSON, `aggseq` counts from 1 within (`aggepoch`, topic, key)."""

    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    dataschema: str
    aggseq: int
    aggepoch: int
    correlationid: str
    causationid: str | None = None
    traceparent: str | None = None
    data: dict[str, Any]

    @property
    def producer(self) -> str:
        return self.source.removeprefix("/")

    def structured(self) -> dict[str, Any]:
        """Structured-mode JSON (webhooks, feeds)."""
        body: dict[str, Any] = {
            "specversion": "1.0",
            "id": str(self.id),
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "partitionkey": self.subject,
            "time": rfc3339(self.time),
            "datacontenttype": "application/json",
            "dataschema": self.dataschema,
            "aggseq": self.aggseq,
            "aggepoch": self.aggepoch,
            "correlationid": self.correlationid,
        }
        if self.causationid:
            body["causationid"] = self.causationid
        if self.traceparent:
            body["traceparent"] = self.traceparent
        body["data"] = self.data
        return body

    def binary(self) -> tuple[list[tuple[str, bytes]], bytes]:
        """Binary-mode headers (`ce_…`, `content-type`) and body for Kafka."""
        headers = binary_headers(
            id=str(self.id),
            source=self.source,
            type=self.type,
            subject=self.subject,
            time=self.time,
            dataschema=self.dataschema,
            correlationid=self.correlationid,
            causationid=self.causationid,
            traceparent=self.traceparent,
        )
        headers += number_headers(self.aggepoch, self.aggseq)
        body = json.dumps(self.data, separators=(",", ":"), ensure_ascii=False)
        return [(name, value.encode()) for name, value in headers], body.encode()

    @classmethod
    def from_binary(cls, headers: Iterable[tuple[str, bytes]], body: bytes) -> Envelope:
        """Read binary mode back; raises UnreadableEvent."""
        try:
            values = {name.removeprefix("ce_"): value.decode() for name, value in headers}
            data = json.loads(body)
            if not isinstance(data, dict):
                raise TypeError("data is not an object")
            return cls(
                id=UUID(values["id"]),
                source=values["source"],
                type=values["type"],
                subject=values["subject"],
                time=datetime.fromisoformat(values["time"]),
                dataschema=values.get("dataschema", ""),
                aggseq=int(values["aggseq"]),
                aggepoch=int(values["aggepoch"]),
                correlationid=values.get("correlationid", ""),
                causationid=values.get("causationid"),
                traceparent=values.get("traceparent"),
                data=data,
            )
        except (KeyError, ValueError, TypeError, UnicodeDecodeError) as error:
            raise UnreadableEvent(f"Not a CloudEvent of ours: {type(error).__name__}.") from error


def binary_headers(
    *,
    id: str,
    source: str,
    type: str,
    subject: str,
    time: datetime,
    dataschema: str,
    correlationid: str,
    causationid: str | None,
    traceparent: str | None,
) -> list[tuple[str, str]]:
    """Binary mode's headers but those of `number_headers`, which are known last."""
    headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_source", source),
        ("ce_type", type),
        ("ce_subject", subject),
        ("ce_partitionkey", subject),
        ("ce_time", rfc3339(time)),
        ("content-type", "application/json"),
        ("ce_dataschema", dataschema),
        ("ce_correlationid", correlationid),
    ]
    if causationid:
        headers.append(("ce_causationid", causationid))
    if traceparent:
        headers.append(("traceparent", traceparent))
    return headers


def number_headers(epoch: int, seq: int) -> list[tuple[str, str]]:
    return [("ce_aggseq", str(seq)), ("ce_aggepoch", str(epoch))]


def rfc3339(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


__all__ = ["Amount", "AwareDatetime", "Envelope", "Fact", "UnreadableEvent", "binary_headers", "number_headers"]
