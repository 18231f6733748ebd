"""The installation's house by its database: consumers and timers are handed nothing but a transaction."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from services.billing.domain.house import House
from shared.kit.db import Database, Reader

_houses: WeakKeyDictionary[Database, House] = WeakKeyDictionary()


def keep(database: Database, house: House) -> None:
    """Said once, when the service is opened."""
    _houses[database] = house


def house_of(reader: Reader) -> House:
    return _houses[reader.database]
