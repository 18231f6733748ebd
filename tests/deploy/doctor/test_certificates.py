"""Certificates that real TLS servers present: they end soon, have ended, or are trusted by nobody."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy.engine.url import make_url

from deploy.doctor import server_certificates, settings
from deploy.doctor.finding import Finding, Patient, Severity
from tests.deploy.conftest import Given
from tests.deploy.doctor.conftest import ill, the_one
from tests.infrastructure.certificates import Certificate, self_signed
from tests.infrastructure.postgres import PostgresServer, running_postgres, unprivileged_user
from tests.infrastructure.process import folder_of_this_run, free_port
from tests.infrastructure.smtp import SmtpPeer

DAY = timedelta(days=1)
SOON, EXPIRED, FINE = 20 * DAY, -1 * DAY, 22 * DAY


@asynccontextmanager
async def presenting(certificate: Certificate) -> AsyncIterator[int]:
    """A TLS server that presents it and says nothing; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key_file)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def patient(service: str = "contracts") -> Patient:
    read, _ = settings.read([service])
    assert read is not None
    return read


async def said_of(port: int, service: str = "contracts") -> list[Finding]:
    return [one for one in await server_certificates.look(patient(service)) if f":{port} " in one.found]


@pytest.mark.parametrize(
    ("expires_in", "severity", "word"),
    [(EXPIRED, Severity.ERROR, "expired on"), (SOON, Severity.WARNING, "in 19 day(s)")],
)
@pytest.mark.parametrize(
    ("setting", "what", "remedy"),
    [
        ("public_url", "the public address", "renew it where TLS ends"),
        ("oidc_issuer", "the identity provider", "have who runs it renew it"),
        ("otlp_endpoint", "the collector", "have who runs it renew it"),
    ],
)
async def test_a_certificate_that_ends_is_named_with_who_renews_it(
    tmp_path: Path, given: Given, monkeypatch: pytest.MonkeyPatch, setting: str, what: str, remedy: str,
    expires_in: timedelta, severity: Severity, word: str,
) -> None:  # fmt: skip
    certificate = self_signed(tmp_path, expires_in=expires_in)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    async with presenting(certificate) as port:
        given(**{setting: f"https://127.0.0.1:{port}/realm"})
        [said] = await said_of(port)
    assert said.severity is severity
    assert said.found.startswith(f"{what} at 127.0.0.1:{port} presents a certificate that")
    assert word in said.found
    assert said.remedy.startswith(remedy)


async def test_a_public_address_that_callers_do_not_trust_is_named(
    on_sqlite: Path, tmp_path: Path, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path, expires_in=FINE)
    async with presenting(certificate) as port:
        given(public_url=f"https://127.0.0.1:{port}")
        said = await the_one("contracts")
        assert (said.part, said.severity) == ("certificates", Severity.ERROR)
        assert "presents a certificate that is not trusted (self-signed certificate)" in said.found
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
        assert await ill("contracts") == []
        given(public_url=f"https://localhost:{port}")
        assert "is not trusted (Hostname mismatch" in (await the_one("contracts")).found
    said = await the_one("contracts")
    assert (said.severity, said.remedy.split(",")[0]) == (Severity.WARNING, "look from outside whether it answers")


@pytest.mark.parametrize(
    "setting",
    ["repositories", "deleting_repositories", "remote_repositories", "remote_deleting_repositories"],
)
async def test_a_server_of_repositories_is_looked_at_wherever_it_is_named(
    tmp_path: Path, given: Given, setting: str
) -> None:
    async with presenting(self_signed(tmp_path, expires_in=SOON)) as port:
        given(**{f"backup_{setting}": f"rest:https://company:hunter2@127.0.0.1:{port}/company"})
        [said] = await said_of(port, "backup")
    assert said.found.startswith(f"the server of repositories at 127.0.0.1:{port} presents a certificate that expires")
    assert "hunter2" not in str(said)


async def test_a_mail_servers_certificate_is_seen_with_tls_from_the_start_and_after_starttls(
    tmp_path: Path, given: Given
) -> None:
    certificate = self_signed(tmp_path, expires_in=SOON)
    async with presenting(certificate) as port:
        given(notify_smtp_host="127.0.0.1", notify_smtp_port=str(port), notify_smtp_security="tls")
        [said] = await said_of(port, "notify")
        assert said.found.startswith(f"the mail server at 127.0.0.1:{port} presents")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key_file)
    controller = Controller(object(), hostname="127.0.0.1", port=free_port(), tls_context=context)
    controller.start()
    try:
        port = controller.port
        given(notify_smtp_port=str(port), notify_smtp_security="starttls")
        [said] = await said_of(port, "notify")
        assert said.found.startswith(f"the mail server at 127.0.0.1:{port} presents")
    finally:
        controller.stop()


async def test_a_mail_server_without_starttls_presents_none(given: Given, smtp_peer: SmtpPeer) -> None:
    given(notify_smtp_host=smtp_peer.host, notify_smtp_port=str(smtp_peer.port), notify_smtp_security="starttls")
    assert await server_certificates.look(patient("notify")) == []


@pytest.fixture(scope="module")
def encrypted() -> Iterator[str]:
    """The address of a PostgreSQL whose certificate ends soon."""
    user = unprivileged_user()
    with folder_of_this_run("certificate", user=user) as folder:
        certificate = self_signed(folder, expires_in=SOON, owner=user)
        named = {"ssl": "on", "ssl_cert_file": str(certificate.file), "ssl_key_file": str(certificate.key_file)}
        with running_postgres(**named) as server:
            if server.process is None:
                pytest.skip("the server of MAINSTAY_TEST_POSTGRES_URL has its own certificate, or none")
            yield server.url


async def test_a_certificate_of_postgresql_is_seen_where_the_connection_is_encrypted(
    on_sqlite: Path, given: Given, encrypted: str
) -> None:
    given(contracts_database_url=encrypted, event_log_url=encrypted)
    [said] = await said_of(make_url(encrypted).port or 0)
    assert said.severity is Severity.WARNING
    assert said.found.startswith("PostgreSQL at 127.0.0.1:")
    assert "SELECT pg_reload_conf()" in said.remedy
    given(contracts_database_url=f"{encrypted}?ssl=disable", event_log_url=f"{encrypted}?ssl=disable")
    assert await server_certificates.look(patient()) == []


async def test_a_postgresql_without_encryption_presents_none(given: Given, postgres_server: PostgresServer) -> None:
    given(contracts_database_url=postgres_server.url)
    assert await server_certificates.look(patient()) == []


async def test_a_database_that_is_to_be_verified_and_cannot_be_is_an_error(
    on_sqlite: Path, given: Given, encrypted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def of_the_database() -> Finding:
        [said] = [one for one in await ill("contracts") if one.part == "database of contracts"]
        return said

    given(contracts_database_url=f"{encrypted}?ssl=verify-full")
    assert (await of_the_database()).found == "the options in MAINSTAY_CONTRACTS_DATABASE_URL cannot be used"
    monkeypatch.setenv("PGSSLROOTCERT", str(self_signed(tmp_path).file))
    said = await of_the_database()
    assert said.severity is Severity.ERROR
    assert "is not trusted" in said.found


async def test_who_does_not_answer_is_named_by_who_needs_it(given: Given) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    given(oidc_issuer=f"https://{nowhere}", contracts_database_url=f"postgresql://a:b@{nowhere}/c")
    assert await server_certificates.look(patient()) == []
