"""Settings of the front: where each service's API answers."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pydantic import Field, HttpUrl

from deploy.services import SERVICES
from shared.kit.settings import Settings


class FrontSettings(Settings):
    """`MAINSTAY_…_URL`: read by `mainstay front` only."""

    contracts_url: HttpUrl = Field(HttpUrl("http://127.0.0.1:8001"), description="API of contracts, without /contracts")
    billing_url: HttpUrl = Field(HttpUrl("http://127.0.0.1:8002"), description="API of billing")
    backup_url: HttpUrl = Field(HttpUrl("http://127.0.0.1:8003"), description="API of backup")
    notify_url: HttpUrl = Field(HttpUrl("http://127.0.0.1:8004"), description="API of notify")

    def url_of(self, service: str) -> str:
        url: HttpUrl = getattr(self, f"{service}_url")
        return str(url).rstrip("/")


def url_variables(ports: dict[str, int]) -> dict[str, str]:
    """The environment that tells a front where these ports are."""
    return {f"MAINSTAY_{name.upper()}_URL": f"http://127.0.0.1:{ports[name]}" for name in SERVICES}


def environment_with(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for a child, with `variables` on top."""
    return {**os.environ, **variables}
