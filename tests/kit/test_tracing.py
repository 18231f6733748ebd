"""Spans where a collector is configured, and nothing at all where none is."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from shared.kit import telemetry, tracing
from shared.kit.settings import CommonSettings
from shared.kit.tracing import step, tracing_for
from tests.infrastructure.collector import Collector, running_collector
from tests.structure.house import ROOT

UNTRACED = """
import sys, services.billing.worker, services.billing.app
from shared.kit.settings import CommonSettings
from shared.kit.tracing import tracing_for
assert tracing_for("billing", CommonSettings()) is None
sys.exit(any(name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")) for name in sys.modules))
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


def test_who_traces_nothing_loads_nothing() -> None:
    assert subprocess.run([sys.executable, "-c", UNTRACED], cwd=ROOT, check=False, timeout=240).returncode == 0


def test_a_step_of_nothing_is_one_thing_that_does_nothing() -> None:
    assert step("smtp send", "CLIENT", {}) is step("restic backup", "CLIENT", {})


async def test_a_failure_is_told_by_its_class_alone(collector: Collector) -> None:
    traced = tracing_for("billing", CommonSettings(otlp_endpoint=collector.url))
    assert traced is not None
    with pytest.raises(ValueError), traced.span("outer", "SERVER", {}, parent=None), step("inner", "CLIENT", {}):
        raise ValueError("ann@example.org has no such thing")
    await traced.close()
    inner, outer = collector.spans
    assert (inner.name, inner.parent, inner.failed, outer.failed) == ("inner", outer.id, True, True)
    assert inner.attributes == {"error.type": "ValueError"}


async def test_a_log_line_names_its_trace(collector: Collector) -> None:
    before, lines = structlog.get_config(), io.StringIO()
    telemetry.configure_logging(CommonSettings(), lines)
    structlog.configure(cache_logger_on_first_use=False)
    traced = tracing_for("billing", CommonSettings(otlp_endpoint=collector.url))
    assert traced is not None
    try:
        with traced.span("outer", "SERVER", {}, parent=None):
            structlog.get_logger().info("something")
        structlog.get_logger().info("something else")
    finally:
        structlog.configure(**before)
        telemetry._write_request = None
    await traced.close()
    inside, outside = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert inside["trace_id"] == collector.spans[0].trace
    assert "trace_id" not in outside


async def test_what_cannot_be_sent_is_held_up_to_a_bound_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "SPANS_HELD", 600)
    traced = tracing_for("billing", CommonSettings(otlp_endpoint="http://127.0.0.1:9"))
    assert traced is not None
    for _ in range(2_000):
        with traced.span("request", "SERVER", {}, parent=None):
            pass
    [processor] = traced._provider._active_span_processor._span_processors
    held = processor._batch_processor._queue  # type: ignore[attr-defined]
    assert 0 < len(held) <= 600
    monkeypatch.setattr(tracing, "FLUSH_SECONDS", 0.1)
    await traced.close()
