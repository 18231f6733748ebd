"""What only development may have: passwords that everybody knows."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

WELL_KNOWN = frozenset(
    {
        "admin", "changeit", "changeme", "default", "development", "guest", "kafka", "mainstay", "pass", "passwd",
        "password", "postgres", "root", "secret", "test",
    }
)  # fmt: skip


def password_in(secret: str) -> str | None:
    """The password of an address (`rest:https://user:password@host` too), None when it has none; else the text."""
    _, separator, _ = secret.partition("://")
    if not separator:
        return None if "/" in secret else secret
    try:
        password = urlsplit(re.sub(r"^\w+:(?=\w+://)", "", secret)).password
    except ValueError:
        return None
    return None if password is None else unquote(password)


def is_well_known(password: str | None) -> bool:
    """True for one that a guess finds, with or without digits and signs: `mainstay`, `Change-Me!`, `test123`."""
    if password is None:
        return False
    bare = re.sub(r"[^a-z]", "", password.lower())
    return (len(password) < 16 and bare in WELL_KNOWN) or bare.startswith(("development", "changeme"))
