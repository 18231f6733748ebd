"""A contact: where and in which language a customer wants its notices. Personal data stays in this service."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from shared.kernel.errors import Invalid, NotFound

LONGEST_ADDRESS = 254
LONGEST_LOCAL_PART = 64
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class NotAnAddress(Invalid):
    """This is not an e-mail address that a notice can be sent to."""


class NoSuchContact(NotFound):
    """There is no contact of this customer, or it is not yours."""


class Language(StrEnum):
    EN = "en"
    ZH = "zh"


@dataclass(eq=False, kw_only=True)
class Contact:
    customer_id: UUID
    email: str
    language: Language
    version: int = 0

    def change(self, *, email: str, language: Language) -> None:
        """Raises NotAnAddress."""
        self.email, self.language = address_of(email), language


def address_of(text: str) -> str:
    """The address in one normal form, its domain as ASCII (IDNA); raises NotAnAddress, which never repeats it."""
    local_part, at, domain = unicodedata.normalize("NFC", text).rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        ascii_domain = ""
    labels = ascii_domain.split(".")
    address = f"{local_part}@{ascii_domain}"
    sound = (
        at
        and len(address) <= LONGEST_ADDRESS
        and len(local_part) <= LONGEST_LOCAL_PART
        and _LOCAL_PART.fullmatch(local_part)
        and len(labels) >= 2
        and all(_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdigit()
    )
    if not sound:
        raise NotAnAddress(field="email")
    return address


def masked(address: str) -> str:
    """`alice@example.com` → `a***@example.com`: enough for staff to recognise, too little to copy."""
    local_part, _, domain = address.rpartition("@")
    return f"{local_part[:1]}***@{domain}"


def without_address(reply: str, address: str) -> str:
    """A mail server's reply with the recipient's address masked wherever it is repeated."""
    return re.sub(re.escape(address), lambda _: masked(address), reply, flags=re.IGNORECASE)
