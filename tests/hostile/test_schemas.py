"""Schemathesis makes requests from each service's OpenAPI document: no fault, no answer outside its schema.

MAINSTAY_SCHEMATHESIS_EXAMPLES makes more than the few of a usual run.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.kit.auth import Role
from tests.hostile.test_sizes_and_slowness import Installation
from tests.infrastructure.process import folder_of_this_run
from tests.structure.house import SERVICES

EXAMPLES = int(os.environ.get("MAINSTAY_SCHEMATHESIS_EXAMPLES", "6"))
ROLES = [role for role in Role if role is not Role.SERVICE]

schemathesis: Any = None
try:
    schemathesis = import_module("schemathesis")
    _checks: Any = import_module("schemathesis.specs.openapi.checks")
except ImportError:
    warnings.warn("schemathesis is not installed: nothing is tried from the OpenAPI documents", stacklevel=1)

pytestmark = pytest.mark.skipif(schemathesis is None, reason="pip install schemathesis: its cases are NOT TRIED")


@pytest.fixture(scope="module")
def unlimited() -> Iterator[Installation]:
    with folder_of_this_run("schemathesis") as folder:
        one = Installation(folder)
        environment = {**(one.process.environment or {}), "MAINSTAY_RATE_LIMIT_PER_SECOND": "0"}
        one.process.environment = environment
        one.start()
        yield one
        one.process.stop()


@pytest.fixture(scope="module")
def tokens(unlimited: Installation) -> dict[Role, str]:
    return {role: unlimited.token(role, f"schema-{role}") for role in ROLES}


@pytest.mark.parametrize("service", SERVICES)
def test_no_request_that_the_document_allows_makes_a_fault_or_an_unknown_answer(
    unlimited: Installation, tokens: dict[Role, str], service: str
) -> None:
    base = f"{unlimited.url}/{service}"
    schema = schemathesis.openapi.from_dict(httpx.get(f"{base}/openapi.json").json())
    schema.config.update(base_url=base)
    for found in schema.get_all_operations():
        _try(found.ok(), base, tokens)


def _try(operation: Any, base: str, tokens: dict[Role, str]) -> None:
    callers = [Role(name) for name in operation.definition.raw["x-callers"] if name != "anyone"] or ROLES

    good = operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
    bad = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    # The agreement refuses (422) what has the right form: a schema cannot say which channel is in writing.
    too_much = [_checks.positive_data_acceptance]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=good | bad, role=st.sampled_from(callers) | st.sampled_from(ROLES))
    def attempt(case: Any, role: Role) -> None:
        headers = {"Authorization": f"Bearer {tokens[role]}"}
        case.call_and_validate(base_url=base, headers=headers, timeout=10, excluded_checks=too_much)

    attempt()
