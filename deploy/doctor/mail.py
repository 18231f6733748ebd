"""The mail server that takes the notices: reached, encrypted and signed in to; nothing is sent."""

from __future__ import annotations

import ssl
from contextlib import suppress

import aiosmtplib
from aiosmtplib.errors import SMTPAuthenticationError, SMTPException

from deploy.doctor.finding import Finding, Patient, error, ok
from services.notify.settings import NotifySettings

PART = "mail server"
ANSWER_SECONDS = 3
HOST, PORT, SECURITY = (f"MAINSTAY_NOTIFY_SMTP_{name}" for name in ("HOST", "PORT", "SECURITY"))


async def look(patient: Patient) -> list[Finding]:
    settings = patient.services.get("notify")
    if not isinstance(settings, NotifySettings):
        return []
    if not settings.model_fields_set & {"smtp_host", "smtp_port"}:
        # In production that is said about the settings.
        return [] if patient.in_production else [ok(PART, "the development mailbox, which comes with the front")]
    where = f"{settings.smtp_host}:{settings.smtp_port}"
    try:
        await _visit(settings)
    except SMTPAuthenticationError as refused:
        remedy = "correct MAINSTAY_NOTIFY_SMTP_USERNAME and MAINSTAY_NOTIFY_SMTP_PASSWORD"
        return [error(PART, f"{where} refuses the sign-in ({refused.code})", remedy)]
    except (SMTPException, OSError, TimeoutError, ValueError) as trouble:
        return [_why(where, settings.smtp_security, trouble)]
    signed_in = ", signed in" if settings.smtp_username else ""
    return [ok(PART, f"{where} takes mail ({settings.smtp_security}{signed_in})")]


async def _visit(settings: NotifySettings) -> None:
    """Connect as a notice would, and say goodbye."""
    password = settings.smtp_password
    client = aiosmtplib.SMTP(
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_username,
        password=None if password is None else password.get_secret_value(),
        use_tls=settings.smtp_security == "tls",
        start_tls=settings.smtp_security == "starttls",
        timeout=ANSWER_SECONDS,
    )
    try:
        await client.connect()
        with suppress(SMTPException, OSError):
            await client.quit(timeout=1)
    finally:
        client.close()


def _why(where: str, security: str, trouble: BaseException) -> Finding:
    cause = trouble if isinstance(trouble, ssl.SSLError) else trouble.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        found = f"the certificate of {where} is not trusted ({cause.verify_message})"
        return error(PART, found, f"set {HOST} to the name in it, and SSL_CERT_FILE to its authority's certificates")
    if isinstance(cause, ssl.SSLError):
        return error(PART, f"{where} does not begin with TLS", f"set {SECURITY}=starttls, or {PORT} to 465")
    if isinstance(trouble, SMTPException) and "STARTTLS" in str(trouble):
        return error(PART, f"{where} offers no STARTTLS", f"set {SECURITY} to what it offers, or {PORT} to 587")
    if isinstance(trouble, SMTPException) and "AUTH" in str(trouble):
        return error(PART, f"{where} takes no sign-in", f"unset MAINSTAY_NOTIFY_SMTP_USERNAME, or correct {PORT}")
    kept = f"{where} does not answer as a mail server ({type(trouble).__name__}, {security})"
    return error(PART, kept, f"look whether it runs and can be reached from here, or correct {HOST} and {PORT}")
