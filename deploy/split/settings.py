"""Settings of the front: where each service's API answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, HttpUrl, TypeAdapter, ValidationError

from deploy.services import SERVICES
from shared.kit.settings import Settings

_URL: TypeAdapter[HttpUrl] = TypeAdapter(HttpUrl)


def _checked(text: str) -> str:
    try:
        return ",".join(str(_URL.validate_python(part.strip())).rstrip("/") for part in text.split(","))
    except ValidationError:
        raise ValueError("is an http address, or one of each replica with commas between them") from None


Urls = Annotated[str, AfterValidator(_checked)]


class FrontSettings(Settings):
    """`MAINSTAY_…_URL`: read by `mainstay front` only."""

    contracts_url: Urls = Field(
        "http://127.0.0.1:8001", description="API of contracts, without /contracts; of several replicas: with commas"
    )
    billing_url: Urls = Field("http://127.0.0.1:8002", description="API of billing, likewise")
    backup_url: Urls = Field("http://127.0.0.1:8003", description="API of backup, likewise")
    notify_url: Urls = Field("http://127.0.0.1:8004", description="API of notify, likewise")

    def urls_of(self, service: str) -> list[str]:
        """One for each replica."""
        urls: str = getattr(self, f"{service}_url")
        return urls.split(",")


def url_variables(ports: dict[str, int]) -> dict[str, str]:
    """The environment that tells a front where these ports are."""
    return {f"MAINSTAY_{name.upper()}_URL": f"http://127.0.0.1:{ports[name]}" for name in SERVICES}


def environment_with(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for a child, with `variables` on top."""
    return {**os.environ, **variables}
