"""Passwords as salted scrypt hashes, in one line of text: `scrypt$n$r$p$salt$hash`, numbers in hex."""

import hashlib
import hmac
import secrets

from qcgen.core.errors import SpecError

SHORTEST, LONGEST = 10, 1_024
_N, _R, _P = 2**15, 8, 1
_MOST_BYTES = 128 * 1024 * 1024


def hash_password(password: str) -> str:
    """Raises SpecError for one that is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise SpecError(
            f"password: must have {SHORTEST} to {LONGEST:,} characters (got {len(password)}). Cure: another one."
        )
    salt = secrets.token_bytes(16)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${_derive(password, salt, _N, _R, _P).hex()}"


def check_password(password: str, stored: str | None) -> bool:
    """Takes as long for a person without a password, or without a name, as for a wrong password."""
    kind, _, rest = (stored or "").partition("$")
    parts = rest.split("$")
    if kind != "scrypt" or len(parts) != 5:
        _derive(password[:LONGEST], bytes(16), _N, _R, _P)
        return False
    n, r, p = (int(part) for part in parts[:3])
    derived = _derive(password[:LONGEST], bytes.fromhex(parts[3]), n, r, p)
    return hmac.compare_digest(derived, bytes.fromhex(parts[4])) and len(password) <= LONGEST


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    text = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=_MOST_BYTES, dklen=32)
