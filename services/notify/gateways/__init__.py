"""Third parties of the notify service."""

from __future__ import annotations

from dataclasses import dataclass

from services.notify.gateways.smtp import MailServer, SmtpServer
from services.notify.settings import NotifySettings


@dataclass
class Gateways:
    mail: MailServer


def build(settings: NotifySettings) -> Gateways:
    password = settings.smtp_password
    return Gateways(
        mail=SmtpServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            security=settings.smtp_security,
            username=settings.smtp_username,
            password=None if password is None else password.get_secret_value(),
            sender=settings.sender,
        )
    )
