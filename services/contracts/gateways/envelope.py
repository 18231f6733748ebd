"""Values under data keys of their own: AES-256-GCM, bound to the place that they are kept in."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DATA_KEY_BYTES = 32
NONCE_BYTES = 12


class SealBroken(Exception):
    """What is kept is not what was sealed in this place."""


def new_data_key() -> bytes:
    return os.urandom(DATA_KEY_BYTES)


def seal(value: bytes, data_key: bytes, bound_to: bytes) -> tuple[bytes, bytes]:
    """Nonce and ciphertext."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce, AESGCM(data_key).encrypt(nonce, value, bound_to)


def unseal(nonce: bytes, ciphertext: bytes, data_key: bytes, bound_to: bytes) -> bytes:
    """Raises SealBroken."""
    try:
        return AESGCM(data_key).decrypt(nonce, ciphertext, bound_to)
    except (InvalidTag, ValueError):
        raise SealBroken() from None
