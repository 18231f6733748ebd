"""All facts by type name and topic, and how bytes become a fact again."""

from __future__ import annotations

import re

from pydantic import ValidationError

from shared.events import backup, billing, contracts, notify
from shared.events.envelope import Envelope, Fact, UnreadableEvent

FACTS: list[type[Fact]] = [*contracts.FACTS, *billing.FACTS, *backup.FACTS, *notify.FACTS]
BY_TYPE: dict[str, type[Fact]] = {fact.type_name(): fact for fact in FACTS}
TOPICS: list[str] = sorted({fact.topic() for fact in FACTS})
PARTNER_TOPIC_PREFIX = "partner."

_TYPE = re.compile(r"(mainstay\.[a-z]+\.[a-z-]+)\.v(\d+)")
_FAMILIES = {match[1] for name in BY_TYPE if (match := _TYPE.fullmatch(name))}


def partner_topic(partner_id: object) -> str:
    """The one topic that this partner may read."""
    return f"{PARTNER_TOPIC_PREFIX}{partner_id}"


def partitions_of(topic: str, otherwise: int) -> int:
    """A partner's topic has one, which it reads in order, whoever makes it: its worker, or a relay that comes first."""
    return 1 if topic.startswith(PARTNER_TOPIC_PREFIX) else otherwise


def fact_of(envelope: Envelope) -> Fact | None:
    """The fact inside, or None for a type nobody here knows.

    Raises UnreadableEvent for an unknown major of a known type and for data its schema refuses.
    """
    kind = BY_TYPE.get(envelope.type)
    if kind is None:
        match = _TYPE.fullmatch(envelope.type)
        if match and match[1] in _FAMILIES:
            raise UnreadableEvent(f"{envelope.type} is a major version this consumer does not know.")
        return None
    try:
        return kind.model_validate(envelope.data)
    except ValidationError as error:
        fields = sorted({".".join(map(str, item["loc"])) for item in error.errors(include_input=False)})
        raise UnreadableEvent(f"{envelope.type} does not fit its schema at {', '.join(fields)}.") from None
