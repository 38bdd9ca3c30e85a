"""SKU names: which are safe to become folders and file names, and the names of a matrix's rows."""

import hashlib
import re
import unicodedata

from qcgen.core.wording import show

MAX_SKU = 100

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\..*)?", re.IGNORECASE | re.DOTALL
)
_FORBIDDEN = re.compile(r'[/\\<>:"|?*]')


def sku_problem(sku: str) -> str | None:
    """What is wrong with a SKU as `rule (got X). Cure.`, None if nothing is."""
    if _PLAIN.fullmatch(sku) and not _RESERVED.fullmatch(sku):
        return None
    rule = _broken_rule(sku)
    return rule and f"{rule[0]} (got {show(sku)}). {rule[1]}"


def _broken_rule(sku: str) -> tuple[str, str] | None:
    if not sku.strip():
        return "is empty", "Give every row a name."
    if len(sku) > MAX_SKU:
        return f"must have at most {MAX_SKU} characters, has {len(sku)}", "Shorten it."
    if not sku.isprintable():
        return "must not contain control or invisible characters", "Remove them."
    if _FORBIDDEN.search(sku):
        return r'must not contain / \ < > : " | ? *', "Use - instead."
    if sku.startswith(".") or sku.endswith("."):
        return "must not begin or end with a dot", "Remove it."
    if _RESERVED.fullmatch(sku):
        return "is a device's name on Windows", "Rename it."
    return None


def same_sku(sku: str) -> str:
    """A key that is equal for SKUs which some file systems cannot tell apart."""
    return unicodedata.normalize("NFC", sku).casefold()


def slug(text: str) -> str:
    """Small ASCII letters, digits and single hyphens, at most 40; text without any of these becomes a short hash."""
    flat = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", flat).strip("-")[:40].strip("-")
    return words or "v" + hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
