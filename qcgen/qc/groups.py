"""Groups of pictures with limits of their own (Mondrian): which group a picture is in, and how a reference is halved.

A group's key is the values of `group_by`, coarsest first. A picture is judged by the finest level that is calibrated:
(product, size), else (product), else all. A group is calibrated if its second half has at least 1 / alpha - 1 pictures
and its joint test can flag at all. The references behind its p-values are its own first half where that is so large
that the joint test can flag, else the whole reference's: the joint statistics of the group's own second half keep the
false-flag rate in either case, since they are exchangeable with its future pictures.

Source: Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a Random World, chapter 4.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

SIZE = "size_px"
"""A key beside the items' fields: the picture's size, `128` or `96x128`."""
WHOLE = "all"

Key = tuple[str, ...]


def with_size(fields: Mapping[str, str], width: int, height: int) -> Mapping[str, str]:
    """An item's fields and the size of its picture."""
    return {**fields, SIZE: size_text(width, height)}


def size_text(width: int, height: int) -> str:
    return str(width) if width == height else f"{width}x{height}"


def key_of(fields: Mapping[str, str], group_by: Sequence[str]) -> Key:
    """The picture's values, ending before the first field that it lacks."""
    found: list[str] = []
    for name in group_by:
        if not fields.get(name):
            break
        found.append(fields[name])
    return tuple(found)


def levels(key: Key) -> Iterator[Key]:
    """The key and its beginnings, finest first; the whole reference, the empty key, is left out."""
    return (key[:length] for length in range(len(key), 0, -1))


def label(group_by: Sequence[str], key: Key) -> str:
    """`product=dress, size_px=128`; `all` for the whole reference."""
    return ", ".join(f"{name}={value}" for name, value in zip(group_by, key, strict=False)) or WHOLE


def halves(keys: Sequence[Key], seed: int) -> tuple[list[int], list[int]]:
    """Places of the first and the second half, drawn within each finest group, so that every level is halved."""
    rng = np.random.default_rng(seed)
    first: list[int] = []
    second: list[int] = []
    for key in sorted(set(keys)):
        members = rng.permutation([place for place, one in enumerate(keys) if one == key]).tolist()
        # An odd picture goes to whichever half is smaller so far.
        half = (len(members) + (len(first) < len(second))) // 2
        first += members[:half]
        second += members[half:]
    return first, second
