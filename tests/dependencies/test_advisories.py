"""The audit of dependencies, against an advisory database of our own on this machine."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.dependencies.__main__ import EXCEPTIONS, LOCKS, ROOT, main
from tests.dependencies.advisories import Pin, excused_in, pins_in
from tests.infrastructure.process import free_port

Audit = Callable[..., tuple[int, str]]
TODAY = datetime.now(UTC).date()
LEAKY = "leaky==1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:00\nsound[extra]==2.1\n"
ADVISORY = {"id": "GHSA-leak", "aliases": ["CVE-2030-1"], "summary": "It leaks."}


class Database:
    """Speaks as OSV does; `about` maps (name, version) to advisories, one to a page."""

    def __init__(self) -> None:
        self.about: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.status = 200
        self.garbage: bytes | None = None
        self.asked: list[tuple[str, str]] = []
        database = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self._answer({"results": [database._page(query) for query in sent["queries"]]})

            def do_GET(self) -> None:
                advisories = [each for known in database.about.values() for each in known]
                self._answer(next(each for each in advisories if each["id"] == self.path.rpartition("/")[2]))

            def _answer(self, answer: Any) -> None:
                content = database.garbage or json.dumps(answer).encode()
                self.send_response(database.status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/"

    def _page(self, query: dict[str, Any]) -> dict[str, Any]:
        assert query["package"]["ecosystem"] == "PyPI"
        key, page = (query["package"]["name"], query["version"]), int(query.get("page_token", 0))
        self.asked.append(key)
        known = self.about.get(key, [])
        if not known:
            return {}
        more = {"next_page_token": str(page + 1)} if page + 1 < len(known) else {}
        return {"vulns": [{"id": known[page]["id"], "modified": "2030-01-01T00:00:00Z"}], **more}


@pytest.fixture
def database() -> Iterator[Database]:
    one = Database()
    thread = threading.Thread(target=one.server.serve_forever, args=(0.02,))
    thread.start()
    yield one
    one.server.shutdown()
    thread.join()
    one.server.server_close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Its lock files name a package that leaks and one that is sound; nothing is excused."""
    for lock in LOCKS:
        (tmp_path / lock).write_text(LEAKY)
    (tmp_path / EXCEPTIONS.name).write_text("")
    return tmp_path


@pytest.fixture
def audit(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Audit:
    def run(url: str, require: str = "") -> tuple[int, str]:
        monkeypatch.setenv("MAINSTAY_ADVISORIES_URL", url)
        monkeypatch.setenv("MAINSTAY_REQUIRE", require)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        code = main(project, project / EXCEPTIONS.name)
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def excuse(project: Path, **changes: Any) -> None:
    values = {"id": "GHSA-leak", "reason": "never called", "until": TODAY, **changes}
    lines = [f"{name} = {value}" if name == "until" else f'{name} = "{value}"' for name, value in values.items()]
    (project / EXCEPTIONS.name).write_text("\n".join(["[[exception]]", *lines]))


def test_nothing_known_is_a_pass_and_every_pin_was_asked_about(audit: Audit, database: Database) -> None:
    code, said = audit(database.url, require="advisories")
    assert (code, database.asked) == (0, [("leaky", "1.0"), ("sound", "2.1")])
    assert "2 dependencies audited" in said


def test_a_known_vulnerability_fails_by_its_name(audit: Audit, database: Database) -> None:
    database.about["leaky", "1.0"] = [ADVISORY]
    code, said = audit(database.url)
    assert code == 1
    assert "leaky 1.0: GHSA-leak, CVE-2030-1: It leaks." in said


def test_an_advisory_of_another_version_or_one_taken_back_is_none(audit: Audit, database: Database) -> None:
    database.about["leaky", "0.9"] = [ADVISORY]
    database.about["sound", "2.1"] = [{"id": "GHSA-error", "withdrawn": "2030-01-01T00:00:00Z"}]
    assert audit(database.url)[0] == 0


def test_advisories_of_later_pages_count(audit: Audit, database: Database) -> None:
    database.about["leaky", "1.0"] = [{**ADVISORY, "withdrawn": "2030-01-01T00:00:00Z"}, {"id": "GHSA-second"}]
    code, said = audit(database.url)
    assert code == 1
    assert "GHSA-second" in said


@pytest.mark.parametrize("name", ["GHSA-leak", "CVE-2030-1"])
def test_an_exception_by_either_name_holds_to_the_end_of_its_last_day(
    audit: Audit, project: Path, database: Database, name: str
) -> None:
    database.about["leaky", "1.0"] = [ADVISORY]
    excuse(project, id=name)
    assert audit(database.url)[0] == 0
    excuse(project, id=name, until=TODAY - timedelta(days=2))
    code, said = audit(database.url)
    assert code == 1
    assert "which is over" in said


def test_an_exception_that_excuses_nothing_is_to_be_removed(audit: Audit, project: Path, database: Database) -> None:
    excuse(project)
    code, said = audit(database.url)
    assert code == 1
    assert "remove it" in said


@pytest.mark.parametrize("changes", [{"reason": " "}, {"until": '"soon"'}, {"by": "me"}])
def test_an_exception_without_a_reason_or_an_end_is_none(tmp_path: Path, changes: dict[str, str]) -> None:
    excuse(tmp_path, **changes)
    with pytest.raises(ValueError, match="a reason and the day"):
        excused_in(tmp_path / EXCEPTIONS.name)


@pytest.mark.parametrize("trouble", ["nobody listens", "500", "no JSON", "another JSON", "too few answers"])
def test_a_database_that_does_not_answer_is_said_loudly_and_fails_only_where_it_is_required(
    audit: Audit, database: Database, trouble: str
) -> None:
    database.status = 500 if trouble == "500" else 200
    database.garbage = {"no JSON": b"<html>", "another JSON": b"[]", "too few answers": b'{"results": []}'}.get(trouble)
    url = f"http://127.0.0.1:{free_port()}/v1/" if trouble == "nobody listens" else database.url
    code, said = audit(url)
    assert code == 0
    assert "!!! THE DEPENDENCIES WERE NOT AUDITED" in said
    assert "Traceback" not in said
    assert audit(url, require="postgres,advisories")[0] == 1


def test_a_line_that_pins_nothing_is_not_passed_over(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("good==1.0\n-e git+https://example.org/x\n")
    with pytest.raises(ValueError, match=r"requirements\.txt:2 pins no version"):
        pins_in([lock])


def test_our_own_locks_and_exceptions_are_read_and_make_check_audits_them() -> None:
    pins = pins_in(ROOT / lock for lock in LOCKS)
    assert {"fastapi", "httpx", "pytest"} <= {pin.name for pin in pins}
    assert all(isinstance(pin, Pin) and pin.version for pin in pins)
    excused_in(EXCEPTIONS)
    steps = subprocess.run(["make", "-n", "check"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "-m tests.dependencies" in steps
