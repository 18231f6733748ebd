"""Every operation of every service, read from the OpenAPI documents, with a body that it would take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from shared.kit.auth import Role

Schema = Mapping[str, Any]
Where = tuple[str | int, ...]


@dataclass(frozen=True)
class Operation:
    """`parameters` and `body` are schemas with their references filled in."""

    service: str
    method: str
    path: str
    name: str
    parameters: Mapping[tuple[str, str], Schema]
    media_type: str | None
    body: Schema | None
    callers: frozenset[Role]

    def __str__(self) -> str:
        return f"{self.service}.{self.name}"

    def names_in(self, place: str) -> list[str]:
        return [name for where, name in self.parameters if where == place]

    @property
    def takes_ids(self) -> list[tuple[str, str]]:
        """(place, name) of every id among path, query and body; `server_ids` counts by its items."""
        found = [
            (place, name) for place, name in self.parameters if place in {"path", "query"} and name.endswith("_id")
        ]
        properties = (self.body or {}).get("properties", {})
        return found + [("body", name) for name, schema in properties.items() if _holds_ids(schema)]


def operations_of(service: str, document: Mapping[str, Any]) -> Iterator[Operation]:
    """Everything that the document lists."""
    for path, item in document["paths"].items():
        for method, found in item.items():
            content = found.get("requestBody", {}).get("content", {})
            media_type = next(iter(content), None)
            yield Operation(
                service=service,
                method=method.upper(),
                path=path,
                name=found["operationId"],
                parameters={
                    (each["in"], each["name"]): _filled(each["schema"], document)
                    for each in found.get("parameters", [])
                    if each["name"] != "Idempotency-Key"  # tests/kit/test_idempotency.py
                },
                media_type=media_type,
                body=_object_in(_filled(content[media_type]["schema"], document)) if media_type else None,
                callers=frozenset(Role(name) for name in found["x-callers"] if name != "anyone"),
            )


def fields_of(schema: Schema, where: Where = ()) -> Iterator[tuple[Where, Schema]]:
    """Every field of a body, nested ones and items of lists too."""
    for name, inner in schema.get("properties", {}).items():
        place = (*where, name)
        yield place, inner
        found = _object_in(inner)
        yield from fields_of(found, place)
        if found.get("type") == "array":
            yield (*place, 0), found["items"]
            yield from fields_of(_object_in(found["items"]), (*place, 0))


def sample_of(operation: Operation, ids: Mapping[str, Any]) -> dict[str, Any] | None:
    """A body with every field set that the operation takes; None where it takes none."""
    if operation.body is None or operation.media_type == "application/octet-stream":
        return None
    found: dict[str, Any] = _SAMPLES[operation.name](ids)
    return found


def path_of(operation: Operation, ids: Mapping[str, Any]) -> str:
    """The path with these ids in it; KeyError names an id that nobody planted."""
    return operation.path.format_map({name: str(ids[name]) for name in operation.names_in("path")})


async def sent(
    client: httpx.AsyncClient, operation: Operation, ids: dict[str, Any], *, query: dict[str, Any] | None = None
) -> httpx.Response:
    """The answer to the operation with the body that it takes."""
    body = sample_of(operation, ids)
    path = path_of(operation, ids)
    if operation.media_type == "multipart/form-data":
        assert body is not None
        pdf = {"evidence": ("receipt.pdf", b"%PDF-1.7\n", "application/pdf")}
        return await client.request(operation.method, path, data=body, files=pdf)
    if operation.media_type == "application/octet-stream":
        headers = {"content-type": operation.media_type}
        needed = {"channel": "portal"} if "channel" in operation.names_in("query") else {}
        return await client.request(
            operation.method, path, content=b"x", headers=headers, params=needed | (query or {})
        )
    return await client.request(operation.method, path, json=body, params=query)


def _holds_ids(schema: Schema) -> bool:
    found = _object_in(schema)
    return bool(found.get("format") == "uuid" or found.get("items", {}).get("format") == "uuid")


def _object_in(schema: Schema) -> Schema:
    """The one that is not null of `X | None`."""
    choices = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    return choices[0] if len(choices) == 1 else schema


def _filled(schema: Any, document: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_filled(each, document) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _filled(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    return {name: _filled(inner, document) for name, inner in schema.items()}


def _text(ids: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "agreement_version": ids["version"],
        "language": "en",
        "text_sha256": ids["text_sha256"],
        "channel": "portal",
    }


def _in_writing(_ids: Mapping[str, Any]) -> dict[str, Any]:
    return {"channel": "portal"}


def _reason(_ids: Mapping[str, Any]) -> dict[str, Any]:
    return {"reason": "not as agreed"}


def _slot(_ids: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "starts_at": "2030-02-01T10:00:00Z",
        "ends_at": "2030-02-01T12:00:00Z",
        "place": "on-site",
        "technician": "hostile-technician",
    }


def _cause(ids: Mapping[str, Any]) -> dict[str, Any]:
    shown = {"kind": "system-log", "sha256": "ab" * 32, "found_at": "2030-01-31T12:00:00Z"}
    return {
        "cause": "crash-during-maintenance",
        "data_lost": True,
        "work_request_id": str(ids["work_request_id"]),
        "findings": [shown],
    }


_SAMPLES: dict[str, Any] = {
    "advance_clock": lambda _ids: {"to": "2020-01-01T00:00:00Z"},
    "register_customer": lambda ids: {
        "name": "Ada",
        "language": "en",
        "zone": "Europe/Berlin",
        "channel": "portal",
        "customer_id": str(ids["customer_id"]),
    },
    "change_zone": lambda _ids: {"zone": "Asia/Shanghai", "channel": "portal"},
    "register_server": lambda _ids: {"name": "web-2", "operating_system": "Debian 12", "channel": "portal"},
    "draft_contract": lambda ids: {
        "customer_id": str(ids["customer_id"]),
        "plan_code": "care-monthly-eur",
        "server_ids": [str(ids["server_id"])],
        "paper_bill": False,
        "channel": "portal",
    },
    "accept_contract": _text,
    "renew_contract": _text,
    "withdraw_contract": _in_writing,
    "stop_contract": _in_writing,
    "request_work": lambda ids: {
        "operation_code": "health-check",
        "server_id": str(ids["server_id"]),
        "note": "soon",
        "preference": {"starts_at": "2030-02-01T10:00:00Z", "ends_at": "2030-02-01T12:00:00Z", "place": "remote"},
        "software": ["nginx"],
        "channel": "portal",
    },
    "explain_circumstances": lambda _ids: {"reason": "a flood", "until_on": "2030-03-01", "channel": "portal"},
    "approve_extension": lambda _ids: {"until_on": "2030-03-01"},
    "refuse_extension": _reason,
    "assess_work": lambda _ids: {"rehearsed": False},
    "acknowledge_risk": lambda ids: {"language": "en", "text_sha256": ids["text_sha256"], "channel": "portal"},
    "report_emergency": lambda ids: {"server_id": str(ids["server_id"]), "seen": "smoke", "channel": "portal"},
    "resolve_emergency": lambda ids: {
        "outcome": "work-requested",
        "log": "a new disk is needed",
        "work_request_id": str(ids["work_request_id"]),
    },
    "withdraw_emergency": _in_writing,
    "apply_for_remote": lambda ids: {"server_id": str(ids["server_id"]), "channel": "portal"},
    "decline_remote_application": lambda _ids: {"reason": "too-large"},
    "give_up_remote_application": _in_writing,
    "put_staff_contact": lambda _ids: {"email": "eve@company.example", "language": "en", "administrator": True},
    "add_shift": lambda ids: {
        "subject": ids["subject"],
        "position": 2,
        "starts_at": "2030-02-01T10:00:00Z",
        "ends_at": "2030-02-01T22:00:00Z",
    },
    "record_readiness_check": lambda _ids: {
        "condition": "reachable",
        "passed": True,
        "checked_by": "probe 7",
        "checked_at": "2030-01-31T12:00:00Z",
    },
    "declare_software": lambda _ids: {
        "software": [{"name": "nginx", "version": "1.26", "licence": "BSD-2-Clause", "purl": "pkg:deb/debian/nginx@1"}],
        "channel": "portal",
    },
    "refuse_work": _reason,
    "withdraw_work": _in_writing,
    "schedule_work": _slot,
    "reschedule_work": _slot,
    "log_step": lambda _ids: {"text": "looked at the disks"},
    "fail_work": _reason,
    "sign_off_work": _in_writing,
    "open_calendar": lambda ids: {"secret_sha256": ids["text_sha256"]},
    "close_calendar": lambda _ids: {"technician": "hostile-technician"},
    "declare_conditions_unmet": lambda ids: {"server_id": str(ids["server_id"]), "unmet": ["free-disk"]},
    "report_incident": lambda ids: {
        "server_id": str(ids["server_id"]),
        "happened_at": "2030-01-31T12:00:00Z",
        "seen": "nothing answers",
        "channel": "portal",
    },
    "determine_cause": _cause,
    "record_recovery_attempt": lambda _ids: {
        "method": "restore-from-backup",
        "outcome": "failed",
        "attempted_at": "2030-01-31T12:00:00Z",
    },
    "decide_incident": lambda _ids: {},
    "appeal_incident": lambda _ids: {"reason": "not so", "channel": "portal"},
    "decide_appeal": lambda ids: {"reconsidered": _cause(ids)},
    "keep_secret": lambda _ids: {"name": "deploy", "kind": "password", "value": "opens nothing", "channel": "portal"},
    "replace_secret": lambda _ids: {"value": "opens nothing", "replaces": 1, "channel": "portal"},
    "remove_secret": _in_writing,
    "reveal_secret": lambda ids: {"secret_id": str(ids["secret_id"])},
    "report_disclosure": lambda ids: {
        "server_id": str(ids["server_id"]),
        "secret_id": str(ids["secret_id"]),
        "disclosed_by": "customer",
        "disclosed_at": "2026-01-01T00:00:00Z",
        "channel": "portal",
    },
    "confirm_replaced": _in_writing,
    "request_refund": lambda ids: {
        "period_index": 1,
        "ground": "company-defect",
        "incident_id": str(ids["incident_id"]),
        "channel": "portal",
    },
    "withdraw_refund_request": _in_writing,
    "claim_warranty": lambda ids: {
        "work_request_id": str(ids["work_request_id"]),
        "note": "again",
        "channel": "portal",
    },
    "put_billing_profile": lambda _ids: {
        "legal_name": "Beispiel AG",
        "address": {"lines": ["Hauptstraße 5"], "city": "Hamburg", "postal_code": "20095", "country": "DE"},
        "tax_id": "DE136695976",
        "exemption": {"certificate_reference": "C-1"},
        "channel": "portal",
    },
    "report_payment": lambda ids: {
        "invoice_id": str(ids["invoice_id"]),
        "amount_minor": "100",
        "currency": "EUR",
        "channel": "portal",
        "bank_reference": "REF-1",
        "paid_on": "2026-01-02",
    },
    "approve_payment": lambda _ids: {},
    "prepare_refund": lambda _ids: {},
    "release_refund": lambda _ids: {},
    "decline_refund": _reason,
    "reject_payment": _reason,
    "request_restore": lambda ids: {
        "server_id": str(ids["server_id"]),
        "run_id": str(ids["run_id"]),
        "path": "etc/app.conf",
        "channel": "portal",
    },
    "put_contact": lambda _ids: {"email": "ada@example.org", "language": "en"},
    "register_partner": lambda _ids: {"name": "Beta Audit"},
    "link_partner": lambda ids: {
        "partner_id": str(ids["partner_id"]),
        "customer_id": str(ids["customer_id"]),
        "channel": "portal",
    },
    "end_partner_link": _in_writing,
    "retry_parked_event": lambda _ids: {"accept_gap": False},
    "skip_parked_event": _reason,
    "replay_skipped_event": _reason,
    "retry_parked_events": lambda _ids: {"error_class": "KeyError"},
    "skip_parked_events": lambda _ids: {"error_class": "KeyError", "reason": "a known defect"},
    "replay_skipped_events": lambda _ids: {"error_class": "KeyError", "reason": "mended"},
    "replay_key": lambda _ids: {"topic": "billing.payment", "key": "none", "from_seq": 1, "reason": "mended"},
}


def missing_ids(ids: Mapping[str, Any], make: Any) -> dict[str, Any]:
    """The same names with ids that nothing has."""
    return {name: make() if isinstance(value, UUID) or name.endswith("_id") else value for name, value in ids.items()}
