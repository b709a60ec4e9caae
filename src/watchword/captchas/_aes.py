"""What stock AJ-Captcha front ends speak: AES-128-ECB with PKCS7 padding, in standard base64.

The key is handed to the very client that encrypts under it. This hides nothing from anybody and is
here because those front ends insist on it.
"""

from __future__ import annotations

import binascii
import secrets
import string

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.padding import PKCS7

_KEY_LENGTH = 16
_KEY_ALPHABET = string.ascii_letters + string.digits
_BLOCK_BITS = 128


def new_key() -> str:
    return "".join(secrets.choice(_KEY_ALPHABET) for _ in range(_KEY_LENGTH))


def encrypt(text: str, key: str) -> str:
    padder = PKCS7(_BLOCK_BITS).padder()
    padded = padder.update(text.encode()) + padder.finalize()
    encryptor = _cipher(key).encryptor()
    return binascii.b2a_base64(
        encryptor.update(padded) + encryptor.finalize(), newline=False
    ).decode()


def decrypt(ciphered: str, key: str) -> str | None:
    """The text, or None where this is nothing that was encrypted under the key."""
    decryptor = _cipher(key).decryptor()
    unpadder = PKCS7(_BLOCK_BITS).unpadder()
    try:
        sealed = binascii.a2b_base64(ciphered, strict_mode=True)
        padded = decryptor.update(sealed) + decryptor.finalize()
        return (unpadder.update(padded) + unpadder.finalize()).decode()
    except ValueError:
        return None


def _cipher(key: str) -> Cipher[ECB]:
    return Cipher(AES128(key.encode()), ECB())  # noqa: S305 - the front ends' choice, not ours
