"""The search for what must not be told finds it, wherever it is written, and says what kind it is and no more."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from shared.kit.auth import Role
from shared.kit.runtime import development_issuer
from shared.kit.settings import CommonSettings
from tests import conftest
from tests.infrastructure import canaries
from tests.infrastructure.canaries import Told
from tests.infrastructure.process import folder_of_this_run

NAME = "Ada Lovelace"
DEMO = Path(__file__).parents[2] / "deploy" / "demo"


def an_issuer(folder: Path) -> Any:
    return development_issuer(CommonSettings(data_dir=folder / "data"))


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("a customer's name", NAME.encode()),
        ("a customer's name", b'{"name": "\\u6797\\u6c0f\\u8d38\\u6613"}'),
        ("a password in a URL", b"cannot reach postgresql://mainstay:s3cret@db/billing"),
        ("an e-mail address", b"550 5.1.1 <alice.wang@customer.example> unknown"),
        ("an Idempotency-Key", b"key=idempotency-of-a-test-1"),
        ("a key file", b"-----BEGIN " + b"PRIVATE KEY-----"),
    ],
)
def test_each_kind_is_found_and_its_value_is_not_repeated(kind: str, content: bytes) -> None:
    with pytest.raises(Told) as told:
        canaries.insist_on_silence("the log", b"before " + content + b" after")
    assert str(told.value) == f"the log tells {kind}"


def test_a_bearer_token_and_the_key_that_signed_it_are_found(tmp_path: Path) -> None:
    issuer = an_issuer(tmp_path)
    assert canaries.kinds_in(issuer.token(Role.ADMIN).encode()) == ["a bearer token"]
    (tmp_path / "server.log").write_text(issuer._key.as_dict(private=True)["d"])
    with pytest.raises(Told, match=r"server\.log tells a key of this installation"):
        canaries.insist_on_silence_in(tmp_path)


def test_what_may_be_told_is_not_found() -> None:
    said = b"postgresql://mainstay:***@db/billing http://user@host/x From: notices@mainstay.example /v1/x:8000/a@b"
    assert canaries.kinds_in(said) == []


def _a_run_that_writes(place: str, content: bytes) -> None:
    with folder_of_this_run("canaries") as folder:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(content)


@pytest.mark.parametrize("place", ["server.log", "one/server.log", "data/events.db-wal", "data/a.topic-0/0.log"])
def test_every_place_that_others_read_is_searched(place: str) -> None:
    with pytest.raises(Told, match=r"tells a customer's name"):
        _a_run_that_writes(place, NAME.encode())


def test_a_service_keeps_the_data_of_its_customers_in_its_own_database() -> None:
    _a_run_that_writes("data/contracts.db", NAME.encode())


@pytest.mark.parametrize("how", ["structlog", "logging", "fault"])
def test_a_test_that_logs_it_has_failed(how: str) -> None:
    if how == "structlog":
        structlog.get_logger().info("a customer came", name=NAME)
    elif how == "logging":
        logging.getLogger("aiosmtplib").warning("%s is unknown", NAME)
    else:
        structlog.get_logger().error("a fault", exc_info=RuntimeError(NAME))
    report = SimpleNamespace(outcome="passed", longrepr=None)
    hook = conftest.pytest_runtest_makereport(SimpleNamespace(nodeid="this"))  # type: ignore[arg-type]
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(report)  # type: ignore[arg-type]
    assert (report.outcome, report.longrepr) == ("failed", "logged during this: a customer's name")
    assert canaries.LOGGED == []


def test_what_the_demonstration_sends_is_among_what_is_searched_for() -> None:
    sources = "".join(path.read_text() for path in DEMO.glob("*.py"))
    for value in ("Harbour Books", "林氏贸易", "Speicherstadt 7", "RF18 ", "shop.conf", "currency = EUR", "quay.bin"):
        assert value in sources
        assert canaries.kinds_in(value.encode())
