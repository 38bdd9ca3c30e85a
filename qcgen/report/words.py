"""How numbers are written for people."""

import math

from qcgen.report.intervals import Share


def count(value: int) -> str:
    return f"{value:,}"


def percent(value: float | None) -> str:
    """One decimal; never rounds to 0 % or 100 % what is not."""
    if value is None:
        return "n/a"
    if 0 < value < 0.0005:
        return "<0.1 %"
    if 0.9995 <= value < 1:
        return ">99.9 %"
    return f"{100 * value:.1f} %"


def interval(share: Share) -> str:
    return f"{100 * share.low:.1f} to {100 * share.high:.1f} %" if share.of else "n/a"


def number(value: float, digits: int = 4) -> str:
    """So many significant digits, all of those before the point; an exponent only for what is smaller than 0.0001."""
    if value == 0:
        return "0"
    short = f"{value:.{digits}g}"
    return f"{value:,.0f}" if abs(value) >= 1000 or "e+" in short else short


def chance(value: float) -> str:
    """A probability; never rounds to 0 or 1 what is not."""
    if 0 < value < 0.005:
        return "<0.01"
    if 0.995 <= value < 1:
        return ">0.99"
    return f"{value:.2f}"


def with_error(value: float, error: float, *, percent: bool = False) -> str:
    """Value and standard error to the error's second significant digit."""
    scale, sign = (100, " %") if percent else (1, "")
    value, error = scale * value, scale * error
    # What is left of numbers that move together is rounding, not an error.
    digits = 3 if error <= 1e-9 * max(abs(value), 1) else min(6, max(0, 1 - math.floor(math.log10(error))))
    shown = f"{value:.{digits}f}"
    return f"{shown.removeprefix('-') if float(shown) == 0 else shown}{sign} ± {error:.{digits}f}"


def duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def plain(code: str) -> str:
    """A reason code or detector name as words."""
    return code.replace("_", " ").replace("-", " ")
