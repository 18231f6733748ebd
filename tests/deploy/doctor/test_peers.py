"""Third parties that are away or say no: restic and its server, mail server, identity provider, certificates."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from deploy import environment
from deploy.doctor.finding import Severity
from deploy.services import open_service
from services.backup.db.tables import protections
from services.backup.gateways.restic import Repository
from shared.kernel.ids import new_id
from shared.kit.auth import DevelopmentIssuer
from shared.kit.runtime import development_issuer
from shared.kit.settings import CommonSettings
from tests.deploy.conftest import Given
from tests.deploy.doctor.conftest import ill, the_one
from tests.infrastructure.certificates import Certificate, self_signed
from tests.infrastructure.collector import running_collector
from tests.infrastructure.process import free_port
from tests.infrastructure.smtp import SmtpPeer


@contextmanager
def answering(
    answers: Mapping[str, object], *, otherwise: int = 404, certificate: Certificate | None = None
) -> Iterator[str]:
    """An HTTP server with these JSON documents by path; `otherwise`: the status of every other path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path)
            body = b"" if found is None else json.dumps(found).encode()
            self.send_response(otherwise if found is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.do_HEAD()

        def do_HEAD(self) -> None:
            self.send_response(otherwise)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.file, certificate.key_file)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def back_up(data_dir: Path) -> None:
    """One protection with a backup in its repository."""
    settings = environment.read_service("backup")
    runtime = open_service("backup", environment.read_common(), settings=settings)
    repository = Repository(new_id(), new_id())
    source = data_dir / "sources"
    source.mkdir()
    (source / "motd").write_text("hello")
    try:
        async with runtime.database.transaction() as tx:
            await runtime.gateways.restic.back_up(repository, source, tag="run", at=tx.now)
            values = dict.fromkeys(("period_index", "every_hours", "restore_target_hours", "retention_days"), 1)
            ids = {"id": repository.protection_id, "server_id": repository.server_id}
            ids |= {"contract_id": new_id(), "customer_id": new_id()}
            instants = dict.fromkeys(("period_ends_at", "started_at", "last_success_at", "retain_until"), tx.now)
            rest = {"agreement_version": "1", "status": "ended", "missed_slots": 0, "version": 1}
            await tx.insert(protections, {**ids, **values, **instants, **rest})
    finally:
        await runtime.close()


@pytest.fixture
def issuer(tmp_path: Path) -> DevelopmentIssuer:
    return development_issuer(CommonSettings(data_dir=tmp_path))


@pytest.mark.parametrize(
    ("answer", "found", "remedy"),
    [
        (
            "echo 'restic 0.9.6 compiled with go1.13'",
            "restic is 0.9, and 0.14 or later is needed",
            "restic self-update",
        ),
        ("echo rustic", "is not restic: it does not tell its version", "apt-get install restic"),
    ],
)
async def test_a_restic_that_is_too_old_is_named(
    on_sqlite: Path, given: Given, tmp_path: Path, answer: str, found: str, remedy: str
) -> None:
    program = tmp_path / "restic"
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    given(backup_restic=str(program))
    said = await the_one("backup")
    assert (said.part, said.severity) == ("backups", Severity.ERROR)
    assert said.found.endswith(found)
    assert said.remedy.startswith(remedy)


async def test_a_machine_without_restic_is_named(on_sqlite: Path, given: Given) -> None:
    given(backup_restic="no-such-restic")
    said = await the_one("backup")
    assert (said.severity, said.found) == (Severity.WARNING, "there is no program no-such-restic")


async def test_a_rest_server_that_refuses_or_is_away_is_named_without_its_password(
    on_sqlite: Path, given: Given
) -> None:
    with answering({}, otherwise=401) as url:
        given(backup_repositories=f"rest:{url.replace('//', '//backup:hunter2@')}/backup")
        said = await the_one("backup")
        assert said.found == f"{url.replace('//', '//…@')}/backup refuses the user and password (401)"
    said = await the_one("backup")
    assert said.found.endswith("/backup does not answer (ConnectError)")
    assert said.remedy.startswith("look whether rest-server runs there")
    with answering({}) as url:
        given(backup_repositories=f"rest:{url}/backup")
        assert await ill("backup") == []


async def test_a_key_that_opens_no_repository_is_named(on_sqlite: Path) -> None:
    await back_up(on_sqlite)
    assert await ill("backup") == []
    key = on_sqlite / "keys" / "backup.key"
    key.write_bytes(b"another key, as long as the first")
    said = await the_one("backup")
    assert said.found.startswith("the backup key does not open ")
    assert said.remedy == "put the key it was made with back: MAINSTAY_BACKUP_KEY_FILE"


async def test_a_mail_server_is_visited_and_nothing_is_sent(on_sqlite: Path, given: Given, smtp_peer: SmtpPeer) -> None:
    given(notify_smtp_host=smtp_peer.host, notify_smtp_port=str(smtp_peer.port))
    assert await ill("notify") == []
    assert smtp_peer.attempts == 0
    given(notify_smtp_security="starttls")
    said = await the_one("notify")
    assert (said.part, said.found) == ("mail server", f"127.0.0.1:{smtp_peer.port} offers no STARTTLS")
    given(notify_smtp_security="tls")
    assert (await the_one("notify")).found == f"127.0.0.1:{smtp_peer.port} does not begin with TLS"


async def test_a_mail_server_that_is_away_is_named(on_sqlite: Path, given: Given) -> None:
    port = str(free_port())
    given(notify_smtp_host="127.0.0.1", notify_smtp_port=port)
    said = await the_one("notify")
    assert said.severity is Severity.ERROR
    assert said.found.startswith(f"127.0.0.1:{port} does not answer as a mail server")
    assert "MAINSTAY_NOTIFY_SMTP_HOST" in said.remedy


async def test_a_mail_server_that_refuses_the_sign_in_is_named(
    on_sqlite: Path, given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key_file)
    controller = Controller(
        object(), hostname="127.0.0.1", port=free_port(), tls_context=context,
        authenticator=lambda *_: AuthResult(success=False, handled=False),
    )  # fmt: skip
    controller.start()
    try:
        given(notify_smtp_host="127.0.0.1", notify_smtp_port=str(controller.port), notify_smtp_security="starttls")
        assert "is not trusted" in (await the_one("notify")).found
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
        given(notify_smtp_username="notices", notify_smtp_password="hunter2")
        said = await the_one("notify")
    finally:
        controller.stop()
    assert said.found == f"127.0.0.1:{controller.port} refuses the sign-in (535)"
    assert said.remedy == "correct MAINSTAY_NOTIFY_SMTP_USERNAME and MAINSTAY_NOTIFY_SMTP_PASSWORD"


async def test_an_issuer_that_is_away_or_has_no_discovery_is_named(on_sqlite: Path, given: Given) -> None:
    with answering({}) as url:
        given(oidc_issuer=url)
        said = await the_one("contracts")
        assert (said.part, said.found) == (
            "identity provider",
            f"{url}/.well-known/openid-configuration answers 404",
        )
        assert said.remedy.startswith("correct MAINSTAY_OIDC_ISSUER")
    said = await the_one("contracts")
    assert said.found.endswith("does not answer (ConnectError)")


async def test_an_issuer_is_well_with_keys_and_algorithms_that_are_accepted(
    on_sqlite: Path, given: Given, issuer: DevelopmentIssuer
) -> None:
    discovery: dict[str, object] = {}
    keys: dict[str, object] = {"keys": []}
    with answering({"/.well-known/openid-configuration": discovery, "/keys": keys}) as url:
        given(oidc_issuer=url)
        discovery |= {"issuer": "https://other.example", "jwks_uri": f"{url}/keys"}
        assert "speaks for another issuer" in (await the_one("contracts")).found
        discovery |= {"issuer": url}
        assert "leads to no key that can be used" in (await the_one("contracts")).found
        keys |= issuer.jwks()
        discovery |= {"id_token_signing_alg_values_supported": ["HS256"]}
        assert (await the_one("contracts")).remedy.startswith("set MAINSTAY_OIDC_ALGORITHMS")
        discovery |= {"id_token_signing_alg_values_supported": ["EdDSA"]}
        assert await ill("contracts") == []
        given(oidc_issuer="https://known-by-another-name.example", oidc_jwks_url=f"{url}/keys")
        assert await ill("contracts") == []


async def test_a_collector_is_told_nothing_and_says_whether_it_takes_that(on_sqlite: Path, given: Given) -> None:
    with running_collector() as collector:
        given(otlp_endpoint=collector.url)
        assert await ill("contracts") == []
        assert collector.spans == []
    said = await the_one("contracts")
    assert (said.part, said.severity) == ("traces", Severity.WARNING)
    assert said.found == f"{collector.url} does not answer (ConnectionError)"
    assert said.remedy.endswith("correct MAINSTAY_OTLP_ENDPOINT")
    with answering({}, otherwise=401) as url:
        given(otlp_endpoint=url.replace("//", "//m:hunter2@"))
        said = await the_one("contracts")
    assert (said.severity, said.found) == (Severity.ERROR, f"{url.replace('//', '//…@')} answers 401")
    assert said.remedy.startswith("correct OTEL_EXPORTER_OTLP_HEADERS")


async def test_a_collector_that_is_not_trusted_is_named(
    on_sqlite: Path, given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path)
    with answering({}, otherwise=200, certificate=certificate) as url:
        given(otlp_endpoint=url)
        said = await the_one("contracts")
        assert said.found == f"the certificate of {url} is not trusted"
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(certificate.file))
        assert await ill("contracts") == []


async def test_certificates_that_are_missing_or_expired_are_named(
    on_sqlite: Path, given: Given, tmp_path: Path
) -> None:
    given(kafka_ca_file=str(tmp_path / "gone.pem"))
    assert (await the_one("contracts")).found == f"{tmp_path}/gone.pem cannot be read: No such file or directory"
    for days, severity, word in ((-1, Severity.ERROR, "expired on"), (5, Severity.WARNING, "expires on")):
        given(kafka_ca_file=str(self_signed(tmp_path, expires_in=timedelta(days=days)).file))
        said = await the_one("contracts")
        assert (said.part, said.severity) == ("certificates", severity)
        assert word in said.found
    given(kafka_ca_file=str(self_signed(tmp_path).file))
    assert await ill("contracts") == []
