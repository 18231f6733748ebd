"""The certificates that servers present where TLS is used: how long they hold, and whether callers trust ours."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from sqlalchemy.engine.url import URL

from deploy.doctor import databases, event_log
from deploy.doctor.certificates import PART
from deploy.doctor.finding import Finding, Patient, error, ok, warning
from services.backup.settings import BackupSettings
from services.notify.settings import NotifySettings
from shared.kit.settings import ServiceSettings

SOON = timedelta(days=21)
ANSWER_SECONDS = 3
WHO_RUNS_IT = "have who runs it renew it"
ASK_FOR_TLS = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""PostgreSQL's SSLRequest, which it answers with S or N before anything else."""


@dataclass(frozen=True)
class TlsServer:
    """`remedy`: how its certificate is renewed. `is_ours`: callers come to it, so nobody else here says of trust.

    `before_tls`: what is said in its protocol before TLS begins; raises NoTls where it does not.
    """

    what: str
    host: str
    port: int
    remedy: str
    is_ours: bool = False
    before_tls: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None


class NoTls(Exception):
    """The server goes on without encryption."""


async def look(patient: Patient) -> list[Finding]:
    """Whether those that services connect to are trusted is said where the services are said to get in."""
    servers = list({(one.host, one.port): one for one in _servers(patient)}.values())
    looks = await asyncio.gather(*(_look_at(server) for server in servers))
    ends = [end for end, _ in looks if end is not None]
    findings = [finding for _, said in looks for finding in said]
    if not findings and ends:
        return [ok(PART, f"{len(ends)} server(s) present certificates that hold until {min(ends):%Y-%m-%d} or longer")]
    return findings


def _servers(patient: Patient) -> Iterator[TlsServer]:
    common = patient.common
    if common.event_log == "kafka":
        from deploy.doctor import kafka

        for host, port in kafka.encrypted_brokers(patient):
            yield TlsServer("the broker", host, port, "renew it in the brokers' keystores, one broker after the other")
    urls = [databases.url_of(patient, service) for service in patient.services]
    urls += [event_log.url_of(patient)] if common.event_log == "sql" else []
    for url in urls:
        if url is not None and _may_be_encrypted(url):
            remedy = "put the new server.crt and server.key there, then: SELECT pg_reload_conf()"
            yield TlsServer("PostgreSQL", str(url.host), url.port or 5432, remedy, before_tls=_ask_postgresql)
    for what, address, remedy in (
        ("the identity provider", common.oidc_jwks_url or common.oidc_issuer, WHO_RUNS_IT),
        ("the collector", common.otlp_endpoint, WHO_RUNS_IT),
    ):
        if place := _place(address):
            yield TlsServer(what, *place, remedy)
    yield from _of_mail(patient.services.get("notify"))
    yield from _of_repositories(patient.services.get("backup"))
    if place := _place(common.public_url):
        remedy = "renew it where TLS ends: the ingress, the balancer, or the edge"
        yield TlsServer("the public address", *place, remedy, is_ours=True)


def _of_mail(settings: ServiceSettings | None) -> Iterator[TlsServer]:
    if isinstance(settings, NotifySettings) and settings.smtp_security != "none":
        before = _ask_mail if settings.smtp_security == "starttls" else None
        yield TlsServer("the mail server", settings.smtp_host, settings.smtp_port, WHO_RUNS_IT, before_tls=before)


def _of_repositories(settings: ServiceSettings | None) -> Iterator[TlsServer]:
    if isinstance(settings, BackupSettings):
        for named in settings.named_repositories().values():
            if place := _place(named.removeprefix("rest:")):
                yield TlsServer("the server of repositories", *place, WHO_RUNS_IT)


def _may_be_encrypted(url: URL) -> bool:
    if url.get_backend_name() != "postgresql" or not url.host or url.host.startswith("/"):
        return False
    return "disable" not in {url.query.get("ssl"), url.query.get("sslmode")}


def _place(address: str | None) -> tuple[str, int] | None:
    try:
        parts = urlsplit(address or "")
        return (parts.hostname, parts.port or 443) if parts.scheme == "https" and parts.hostname else None
    except ValueError:
        return None


async def _look_at(server: TlsServer) -> tuple[datetime | None, list[Finding]]:
    """When its certificate ends, None where it shows none; and what is to be said of it."""
    context = httpx.create_ssl_context() if server.is_ours else _trusting_all()
    distrust: ssl.SSLCertVerificationError | None = None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            try:
                certificate = await _presented(server, context)
            except ssl.SSLCertVerificationError as refused:
                distrust = refused
                certificate = await _presented(server, _trusting_all())
    except NoTls:
        return None, []
    except (OSError, TimeoutError, EOFError, ValueError) as trouble:
        return None, [_away(server, trouble)] if server.is_ours else []
    return certificate.not_valid_after_utc, [*_judged(server, certificate, distrust)]


async def _presented(server: TlsServer, context: ssl.SSLContext) -> x509.Certificate:
    """Raises NoTls, SSLCertVerificationError and what connecting raises."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        if server.before_tls is not None:
            await server.before_tls(reader, writer)
        await writer.start_tls(context, server_hostname=server.host)
        return x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    finally:
        writer.transport.abort()


async def _ask_postgresql(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(ASK_FOR_TLS)
    if await reader.readexactly(1) != b"S":
        raise NoTls


async def _ask_mail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greeting, EHLO, STARTTLS (RFC 3207)."""
    for said in (b"", b"EHLO localhost\r\n", b"STARTTLS\r\n"):
        writer.write(said)
        line = await reader.readline()
        while line[3:4] == b"-":
            line = await reader.readline()
        if not line.startswith(b"2"):
            raise NoTls


def _trusting_all() -> ssl.SSLContext:
    """Nothing is told to who is not trusted: the connection ends when the certificate has been seen."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _judged(
    server: TlsServer, certificate: x509.Certificate, distrust: ssl.SSLCertVerificationError | None
) -> Iterator[Finding]:
    whose = f"{server.what} at {server.host}:{server.port}"
    end, now = certificate.not_valid_after_utc, datetime.now(UTC)
    if end <= now:
        yield error(PART, f"{whose} presents a certificate that expired on {end:%Y-%m-%d}", server.remedy)
    elif distrust is not None:
        found = f"{whose} presents a certificate that is not trusted ({distrust.verify_message})"
        yield error(PART, found, "have it signed for that name by an authority that callers know, with the whole chain")
    elif end <= now + SOON:
        left = (end - now).days
        found = f"{whose} presents a certificate that expires on {end:%Y-%m-%d}, in {left} day(s)"
        yield warning(PART, found, server.remedy)


def _away(server: TlsServer, trouble: Exception) -> Finding:
    found = f"{server.what} at {server.host}:{server.port} shows no certificate here ({type(trouble).__name__})"
    return warning(PART, found, "look from outside whether it answers, or correct MAINSTAY_PUBLIC_URL")
