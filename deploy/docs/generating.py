"""The documents committed under docs and what Kubernetes needs of the code, made from this checkout alone."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deploy import services
from deploy.docs import alert_rules
from deploy.docs.asyncapi import asyncapi
from deploy.docs.settings import reference
from deploy.kafka import strimzi
from shared.kit.settings import CommonSettings
from shared.kit.version import VERSION


def documents() -> dict[str, str]:
    """Path below the checkout → text."""
    found = {f"docs/api/openapi-{name}.json": as_text(openapi(name)) for name in services.SERVICES}
    found["docs/api/asyncapi.json"] = as_text(asyncapi(VERSION))
    found["docs/operations/settings.md"] = reference()
    return found | strimzi.documents() | alert_rules.documents()


def openapi(service: str) -> dict[str, Any]:
    """The service's OpenAPI document as production serves it: without the virtual clock."""
    with TemporaryDirectory() as folder:
        common = CommonSettings(
            mode="development",
            data_dir=Path(folder),
            clock="system",
            oidc_issuer="https://issuer.invalid",
            otlp_endpoint=None,
        )
        settings = services.settings_of(service).model_copy(update={"database_url": None})
        runtime = services.open_service(service, common, settings=settings)
        return services.app_of(runtime).openapi()


def as_text(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
