"""Passwords as salted scrypt hashes in one line of text: `scrypt$n$r$p$salt$hash`, salt and hash in base64."""

import base64
import binascii
import hashlib
import hmac
import secrets

_N, _R, _P = 2**15, 8, 1
_LARGEST_N = 2**20
_MEMORY = 2**30
LEAST = 12
"""Characters."""


def hash_password(password: str) -> str:
    """About 60 ms and 32 MiB."""
    salt = secrets.token_bytes(16)
    made = _scrypt(password, salt, n=_N, r=_R, p=_P)
    return "$".join(("scrypt", str(_N), str(_R), str(_P), _text(salt), _text(made)))


def check_password(password: str, stored: str) -> bool:
    """Whether `stored` was made from `password`; False also for a text that is no such hash."""
    try:
        kind, n, r, p, salt, made = stored.split("$")
        if kind != "scrypt" or not 1 < int(n) <= _LARGEST_N or not 0 < int(r) <= 32 or not 0 < int(p) <= 16:
            return False
        found = _scrypt(password, base64.b64decode(salt, validate=True), n=int(n), r=int(r), p=int(p))
        return hmac.compare_digest(found, base64.b64decode(made, validate=True))
    except (ValueError, binascii.Error):
        return False


def _scrypt(password: str, salt: bytes, *, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
