"""AsyncAPI 3.0 of everything that is announced, made from the registry of facts."""

from __future__ import annotations

from typing import Any

from shared.events.envelope import Fact
from shared.events.registry import FACTS, TOPICS

Document = dict[str, Any]

SCHEMA_REFERENCE = "#/components/schemas/{model}"
SERVICES = {
    "contracts": "customers, servers, contracts and their periods, work requests",
    "billing": "invoices and payments",
    "backup": "protections of servers, their runs and restores",
    "notify": "notices and their proof, partner links",
}


def asyncapi(version: str) -> Document:
    """The whole document; equal registries give equal documents."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:mainstay:events",
        "info": {
            "title": "Mainstay events",
            "version": version,
            "description": (
                "Facts in the past tense, as CloudEvents 1.0. One topic holds all events of one kind of aggregate, "
                "keyed by the aggregate's id; each aggregate's events arrive in order (`ce_aggseq` counts from 1 "
                "within `ce_aggepoch`) and at least once. Readers ignore fields and minors they do not know. "
                "No event holds personal data or secrets."
            ),
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "Where MAINSTAY_EVENT_LOG=kafka; the embedded default keeps the same events in SQL.",
                "variables": {"bootstrap": {"default": "localhost:9092"}},
            }
        },
        "channels": {**{topic: _channel(topic) for topic in TOPICS}, "partner": _partner_channel()},
        "operations": {
            **{f"announce.{topic}": _announcing(topic) for topic in TOPICS},
            "read.partner": {
                "action": "send",
                "title": "Facts for one partner",
                "channel": {"$ref": "#/channels/partner"},
            },
        },
        "components": {
            "messages": {
                **{_message_name(fact): _message(fact) for fact in FACTS},
                **{_partner_name(fact): _partner_message(fact) for fact in FACTS if fact.for_partners is not None},
            },
            "messageTraits": {"cloudEvent": {"headers": _headers()}},
            "schemas": _schemas(),
        },
    }


def facts_of(topic: str) -> list[type[Fact]]:
    return [fact for fact in FACTS if fact.topic() == topic]


def _channel(topic: str) -> Document:
    producer, aggregate = topic.split(".", 1)
    facts = facts_of(topic)
    noun = aggregate.replace("_", " ")
    return {
        "address": topic,
        "title": f"{producer}: {noun}",
        "description": f"All that happens to each {noun}, in order, keyed by `{facts[0].key}`.",
        "messages": {fact.kind: {"$ref": f"#/components/messages/{_message_name(fact)}"} for fact in facts},
        "tags": [{"name": producer, "description": SERVICES[producer]}],
        "bindings": {"kafka": {"topic": topic, "bindingVersion": "0.5.0"}},
    }


def _partner_channel() -> Document:
    public = [fact for fact in FACTS if fact.for_partners is not None]
    return {
        "address": "partner.{partner_id}",
        "title": "One partner's facts",
        "description": "Redacted facts about the customers linked to one partner, in the order of its cursor feed.",
        "parameters": {"partner_id": {"description": "the partner's id (UUID)"}},
        "messages": {
            f"{fact.producer}.{fact.kind}": {"$ref": f"#/components/messages/{_partner_name(fact)}"} for fact in public
        },
        "tags": [{"name": "notify", "description": SERVICES["notify"]}],
    }


def _announcing(topic: str) -> Document:
    producer, aggregate = topic.split(".", 1)
    return {
        "action": "send",
        "title": f"{producer} announces what happened to the {aggregate.replace('_', ' ')}",
        "channel": {"$ref": f"#/channels/{topic}"},
    }


def _message(fact: type[Fact]) -> Document:
    return {
        "name": fact.type_name(),
        "title": fact.__name__,
        "summary": _summary(fact),
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{fact.__name__}"},
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "x-schema": fact.schema_name(),
        "x-public": fact.for_partners is not None,
    }


def _partner_message(fact: type[Fact]) -> Document:
    return {**_message(fact), "payload": {"$ref": f"#/components/schemas/{fact.__name__}ForPartners"}}


def _message_name(fact: type[Fact]) -> str:
    return f"{fact.producer}.{fact.kind}.v{fact.major}"


def _partner_name(fact: type[Fact]) -> str:
    return f"partner.{_message_name(fact)}"


def _summary(fact: type[Fact]) -> str:
    return " ".join((fact.__doc__ or fact.__name__).split())


def _schemas() -> Document:
    schemas: Document = {}
    for fact in FACTS:
        schema = fact.model_json_schema(ref_template=SCHEMA_REFERENCE)
        schemas.update(schema.pop("$defs", {}))
        schemas[fact.__name__] = schema
        if fact.for_partners is not None:
            schemas[f"{fact.__name__}ForPartners"] = _redacted(fact, schema)
    return dict(sorted(schemas.items()))


def _redacted(fact: type[Fact], schema: Document) -> Document:
    seen = set(fact.for_partners or ()) | {"customer_id"}
    return {
        "title": f"{fact.__name__}ForPartners",
        "description": f"{_summary(fact)} What a linked partner reads.",
        "type": "object",
        "properties": {name: value for name, value in schema["properties"].items() if name in seen},
        "required": [name for name in schema.get("required", []) if name in seen],
    }


def _headers() -> Document:
    def text(description: str, **more: Any) -> Document:
        return {"type": "string", "description": description, **more}

    properties = {
        "ce_specversion": text("CloudEvents version", const="1.0"),
        "ce_id": text("unique id of the event (UUIDv7)", format="uuid"),
        "ce_source": text("the announcing service", examples=["/billing"]),
        "ce_type": text("fact and major version", examples=["mainstay.billing.invoice-issued.v1"]),
        "ce_subject": text("id of the aggregate"),
        "ce_partitionkey": text("id of the aggregate; also the record's key"),
        "ce_time": text("when it happened", format="date-time"),
        "ce_dataschema": text("the exact minor of the schema"),
        "ce_aggseq": text("position within the aggregate, from 1", pattern="^[0-9]+$"),
        "ce_aggepoch": text("raised when a producer was restored from a backup", pattern="^[0-9]+$"),
        "ce_correlationid": text("the command or timer that began it all"),
        "ce_causationid": text("id of the event that caused this one"),
        "traceparent": text("W3C trace context"),
        "content-type": text("always JSON", const="application/json"),
    }
    optional = {"ce_causationid", "traceparent"}
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }
