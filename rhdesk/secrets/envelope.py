"""Bytes sealed under a key: AES-256-GCM (NIST SP 800-38D), and Argon2id (RFC 9106) for passphrases.

`cryptography` is named in this file alone.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from rhdesk.errors import Refused

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Stretch(msgspec.Struct, frozen=True):
    """How a passphrase becomes a key: RFC 9106's second recommendation, for machines that have
    other things to do."""

    salt: bytes
    iterations: int = 3
    lanes: int = 4
    memory_kib: int = 65536


def new_key() -> bytes:
    return os.urandom(KEY_BYTES)


def new_stretch() -> Stretch:
    return Stretch(os.urandom(16))


def stretched(passphrase: str, how: Stretch) -> bytes:
    made = Argon2id(
        salt=how.salt,
        length=KEY_BYTES,
        iterations=how.iterations,
        lanes=how.lanes,
        memory_cost=how.memory_kib,
    )
    return made.derive(passphrase.encode())


def seal(key: bytes, data: bytes, about: bytes) -> bytes:
    """Seal *data*.

    Args:
        about: What the data is of; it is not hidden, but the seal is good for it only, so that
            sealed bytes cannot be put in the place of others.
    """
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, about)


def unseal(key: bytes, sealed: bytes, about: bytes) -> bytes:
    """The data again.

    Raises:
        Refused: The key is another one, or the bytes, or what they are of, were changed.
    """
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about)
    except (InvalidTag, ValueError):
        raise Refused("it does not open: another key sealed it, or it was changed") from None
