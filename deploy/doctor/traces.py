"""The collector that takes the traces: reached and told nothing, in the way in which services tell their spans."""

from __future__ import annotations

import asyncio
import logging

from deploy.doctor.finding import Finding, Patient, error, ok, warning, without_user
from shared.kit.tracing import exporter_to

PART = "traces"
VARIABLE = "MAINSTAY_OTLP_ENDPOINT"
ANSWER_SECONDS = 2.0
"""A connection that is refused is tried once more after one of them."""


async def look(patient: Patient) -> list[Finding]:
    """While a collector is away everything else goes on, so that is a warning."""
    endpoint = patient.common.otlp_endpoint
    if endpoint is None:
        return []
    shown = without_user(endpoint)
    status, trouble = await asyncio.to_thread(_tell_nothing, endpoint)
    if status is not None:
        return [_answered(shown, status)]
    if "CERTIFICATE_VERIFY_FAILED" in str(trouble):
        remedy = "set OTEL_EXPORTER_OTLP_CERTIFICATE to its authority's certificates; REQUESTS_CA_BUNDLE goes before it"
        return [error(PART, f"the certificate of {shown} is not trusted", remedy)]
    found = f"{shown} does not answer ({type(trouble).__name__})"
    remedy = f"look whether the collector runs and can be reached from here, or correct {VARIABLE}"
    return [warning(PART, found, remedy)]


def _tell_nothing(endpoint: str) -> tuple[int | None, Exception | None]:
    """The status of the answer to an empty batch, or what went wrong."""
    exporter = exporter_to(endpoint, seconds=ANSWER_SECONDS)
    said = logging.getLogger(type(exporter).__module__)
    level = said.level
    # What it would log is the finding.
    said.setLevel(logging.CRITICAL)
    try:
        outcome = exporter._client.export(b"")
    finally:
        said.setLevel(level)
        exporter.shutdown()  # type: ignore[no-untyped-call]
    return outcome.status_code, outcome.error


def _answered(shown: str, status: int) -> Finding:
    if status < 300:
        return ok(PART, f"{shown} takes them")
    found = f"{shown} answers {status}"
    if status in {401, 403}:
        return error(PART, found, "correct OTEL_EXPORTER_OTLP_HEADERS: the collector asks who speaks")
    if status >= 500:
        return warning(PART, found, "look at the collector's log")
    return error(PART, found, f"correct {VARIABLE}: the collector's address for OTLP over HTTP, without a path")
