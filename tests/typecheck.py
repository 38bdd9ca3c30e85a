"""beartype as the checker behind jaxtyping's shapes, able to check our Protocols too."""

import typing
from collections.abc import Callable, Iterator

from beartype import BeartypeConf, beartype

# As mypy has it, an int serves where a float is asked; beartype looks at one item of a list, another on each call, so
# that the stricter reading would fail now and then.
_CHECKER = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Callable[..., object]) -> Callable[..., object]:
    """Check arguments and result of a call against its annotations.

    beartype refuses Protocols that isinstance refuses; nobody else asks isinstance of them, so they are marked here.
    """
    for hint in getattr(function, "__annotations__", {}).values():
        for part in _parts(hint):
            if getattr(part, "_is_protocol", False) and part.__module__.startswith("qcgen."):
                typing.runtime_checkable(part)
    return _CHECKER(function)


def _parts(hint: object) -> Iterator[type]:
    if isinstance(hint, type):
        yield hint
    for inner in hint if isinstance(hint, list) else typing.get_args(hint):
        yield from _parts(inner)
