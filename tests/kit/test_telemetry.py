"""What operators see: ids that follow a request, and neither secrets nor personal data."""

import io
import json
import platform
from collections.abc import Iterator

import pytest
import structlog

from shared.kernel.ids import new_id
from shared.kit import telemetry
from shared.kit.auth import Role
from shared.kit.settings import CommonSettings
from shared.kit.version import VERSION
from tests.support.service import ServiceUnderTest


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What a process would log, while the test runs."""
    before, lines = structlog.get_config(), io.StringIO()
    telemetry.configure_logging(CommonSettings(), lines)
    structlog.configure(cache_logger_on_first_use=False)
    yield lines
    structlog.configure(**before)
    telemetry._write_request = None


async def test_a_request_gets_an_id_and_keeps_its_correlation_id(sqlite_service: ServiceUnderTest) -> None:
    client = sqlite_service.anonymous()
    answer = await client.get("/v1/clock", headers={"x-correlation-id": "order-7"})
    assert answer.headers["x-correlation-id"] == "order-7"
    again = await client.get("/v1/clock")
    assert again.headers["x-request-id"] != answer.headers["x-request-id"]
    assert again.headers["x-correlation-id"] == again.headers["x-request-id"]


@pytest.mark.parametrize("hostile", ["a b", "x" * 81, 'a"b', "<script>", "{}"])
async def test_a_hostile_correlation_id_is_replaced(sqlite_service: ServiceUnderTest, hostile: str) -> None:
    answer = await sqlite_service.anonymous().get("/v1/clock", headers={"x-correlation-id": hostile})
    assert answer.headers["x-correlation-id"] == answer.headers["x-request-id"]


async def test_every_answer_carries_the_security_headers(sqlite_service: ServiceUnderTest) -> None:
    client = sqlite_service.as_role(Role.SUPPORT)
    for answer in (
        await client.get("/v1/parcels"),
        await client.get("/v1/nowhere"),
        await client.post("/v1/parcels", json={"label": "surprise"}),
    ):
        assert telemetry.SECURITY_HEADERS.items() <= dict(answer.headers).items()


def test_values_under_secret_names_are_masked(logged: io.StringIO) -> None:
    structlog.get_logger().info(
        "trying", password="hunter2", api_key="hunter2", Authorization="hunter2", smtp_credentials="hunter2", port=25
    )
    line = json.loads(logged.getvalue())
    assert line["port"] == 25
    assert [line[name] for name in ("password", "api_key", "Authorization", "smtp_credentials")] == ["***"] * 4


def test_secrets_inside_a_value_are_masked_too(logged: io.StringIO) -> None:
    structlog.get_logger().info("trying", headers={"authorization": "hunter2", "peers": [{"token": "hunter2"}]})
    assert "hunter2" not in logged.getvalue()


async def test_a_request_is_one_line_without_its_ids_its_query_or_its_body(
    sqlite_service: ServiceUnderTest, logged: io.StringIO
) -> None:
    client, parcel = sqlite_service.as_role(Role.SUPPORT, subject="ann@example.org"), new_id()
    await client.put(f"/v1/parcels/{parcel}?name=Ann", json={"label": "Ann Example"})
    [line] = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert (line["event"], line["method"], line["status"]) == ("request", "PUT", 200)
    assert line["route"] == "/v1/parcels/{parcel_id}"
    assert line.keys() == {
        "event", "level", "timestamp", "service", "method", "route", "status", "ms", "request_id", "correlation_id",
    }  # fmt: skip
    assert not any(word in json.dumps(line) for word in ("Ann", "ann@", str(parcel)))


async def test_a_surprise_is_logged_with_its_place(sqlite_service: ServiceUnderTest, logged: io.StringIO) -> None:
    await sqlite_service.as_role(Role.SUPPORT).post("/v1/parcels", json={"label": "surprise"})
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    [fault] = [line for line in lines if line["event"] == "unexpected fault"]
    assert "nobody thought of that" in fault["exception"]
    assert fault["route"] == "/v1/parcels"


async def test_health_checks_are_not_logged(sqlite_service: ServiceUnderTest, logged: io.StringIO) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        await sqlite_service.anonymous().get(path)
    assert logged.getvalue() == ""


async def test_a_path_that_is_not_there_makes_no_new_metric(sqlite_service: ServiceUnderTest) -> None:
    client = sqlite_service.anonymous()
    await client.get(f"/v1/nowhere/{new_id()}")
    metrics = (await client.get("/metrics")).text
    assert 'route="unmatched"' in metrics
    assert "nowhere" not in metrics


async def test_answers_are_timed_by_their_route_and_the_class_of_their_status(sqlite_service: ServiceUnderTest) -> None:
    client = sqlite_service.as_role(Role.SUPPORT)
    await client.get(f"/v1/parcels/{new_id()}")
    await client.get("/v1/parcels")
    metrics = (await client.get("/metrics")).text
    for route, status_class in (("/v1/parcels/{parcel_id}", "4xx"), ("/v1/parcels", "2xx")):
        timed = f'service="parcels",status_class="{status_class}"'
        assert f'mainstay_http_request_seconds_count{{method="GET",route="{route}",{timed}}}' in metrics
    assert f'mainstay_build_info{{python="{platform.python_version()}",version="{VERSION}"}} 1.0' in metrics
