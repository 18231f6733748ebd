"""A technician's calendar as iCalendar (RFC 5545)."""

from __future__ import annotations

from collections.abc import Iterable

from icalendar import Calendar, Event, vText

from services.contracts.db import catalogue
from services.contracts.domain.agreement import Language
from services.contracts.domain.booking import Place
from services.contracts.domain.calendar import Entry

PRODUCT = "-//Mainstay//Contracts//EN"
LONGEST_NOTE = 1000
PLACES = {
    Language.EN: {Place.ON_SITE: "On site", Place.REMOTE: "Remote"},
    Language.ZH: {Place.ON_SITE: "现场", Place.REMOTE: "远程"},
}


def calendar_of(entries: Iterable[Entry], language: Language, *, with_notes: bool) -> bytes:
    """The same entries give the same bytes; the library folds lines and escapes what people wrote."""
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    for entry in entries:
        calendar.add_component(_event(entry, language, with_notes))
    content: bytes = calendar.to_ical()
    return content


def _event(entry: Entry, language: Language, with_notes: bool) -> Event:
    booking = entry.booking
    event = Event()
    event.add("uid", f"{booking.work_request_id}@mainstay")
    event.add("dtstamp", booking.changed_at.replace(microsecond=0))
    event.add("last-modified", booking.changed_at.replace(microsecond=0))
    event.add("sequence", booking.sequence)
    event.add("dtstart", booking.starts_at.replace(microsecond=0))
    event.add("dtend", booking.ends_at.replace(microsecond=0))
    event.add("status", "CANCELLED" if booking.cancelled else "CONFIRMED")
    event.add("transp", "TRANSPARENT" if booking.cancelled else "OPAQUE")
    event["summary"] = _text(f"{_operation(entry.operation_code, language)}: {entry.server}")
    event["location"] = _text(PLACES[language][booking.place])
    described = [f"contract {entry.contract_id}", f"work request {booking.work_request_id}"]
    event["description"] = _text("\n".join([*described, entry.note] if with_notes and entry.note else described))
    return event


def _operation(code: str, language: Language) -> str:
    operation = catalogue.published().operation_called(code)
    return operation.names[language] if operation else code


def _text(text: str) -> vText:
    """No control characters but line breaks, whatever was stored, and of a bounded length."""
    printable = "".join(sign for sign in text[:LONGEST_NOTE] if sign == "\n" or sign.isprintable())
    return vText(printable)
