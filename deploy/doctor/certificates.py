"""The file of certificates that the settings name: there, readable and not expired."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from deploy.doctor.finding import Finding, Patient, error, ok, warning

PART = "certificates"
VARIABLE = "MAINSTAY_KAFKA_CA_FILE"
SOON = timedelta(days=30)


def look(patient: Patient) -> list[Finding]:
    path = patient.common.kafka_ca_file
    if path is None:
        return []
    return [*_judged(path)] or [ok(PART, f"{path} is valid for a while")]


def _judged(path: Path) -> Iterator[Finding]:
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as trouble:
        yield error(PART, f"{path} cannot be read: {trouble.strerror}", f"put the file there, or correct {VARIABLE}")
        return
    except ValueError:
        yield error(PART, f"{path} holds no certificate in PEM", f"put the authority's there, or correct {VARIABLE}")
        return
    # While an authority changes its certificate, the old one is beside the new one.
    last = max(certificates, key=lambda one: one.not_valid_after_utc)
    until, name = last.not_valid_after_utc, last.subject.rfc4514_string()
    if until <= datetime.now(UTC):
        yield error(PART, f"{path}: {name} expired on {until:%Y-%m-%d}", "put the authority's new one there")
    elif until <= datetime.now(UTC) + SOON:
        yield warning(PART, f"{path}: {name} expires on {until:%Y-%m-%d}", "add the authority's new one to it")
