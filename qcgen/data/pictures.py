"""The picture files among paths, and what looks like one and cannot be read: nothing is left out in silence."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qcgen.core.errors import SpecError
from qcgen.core.wording import file_name
from qcgen.data.decoder import Refused

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif"})
_OTHERS = frozenset(
    {".gif", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".jxl", ".jp2", ".psd", ".svg", ".ico", ".tga", ".dng", ".apng"}
)


@dataclass(frozen=True, slots=True)
class Found:
    """Files to read, and paths that cannot be, each sorted."""

    pictures: tuple[Path, ...]
    refused: tuple[tuple[Path, Refused], ...]


def find_files(paths: Sequence[Path]) -> Found:
    """Look through files and folders; links to folders are not followed, so that no loop can catch it.

    Raises:
        SpecError: a path given does not exist or does not end as pictures do.
    """
    problems = [f"{file_name(path)}: no such file or folder. Cure: check the path." for path in paths if _lacks(path)]
    kinds = ", ".join(sorted(ENDINGS))
    problems += [
        f"{file_name(path)}: must end in one of {kinds}. Cure: name pictures or folders."
        for path in paths
        if path.is_file() and path.suffix.lower() not in ENDINGS
    ]
    if problems:
        raise SpecError(problems)
    pictures: set[Path] = set()
    refused: dict[Path, Refused] = {}
    for path in paths:
        for found, why in _walk(path) if path.is_dir() else [(path, None)]:
            if why is None:
                pictures.add(found)
            else:
                refused[found] = why
    return Found(tuple(sorted(pictures)), tuple(sorted(refused.items())))


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """The picture files alone, sorted.

    Raises:
        SpecError: as `find_files`, or there are none at all.
    """
    found = list(find_files(paths).pictures)
    if not found:
        given, kinds = ", ".join(map(file_name, paths)), ", ".join(sorted(ENDINGS))
        raise SpecError(f"no pictures in {given}. Cure: name a folder that holds {kinds}.")
    return found


def _walk(folder: Path) -> Iterator[tuple[Path, Refused | None]]:
    """Pictures below a folder, and why others are none."""
    closed: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=closed.append):
        here = Path(place)
        for name in folders:
            if (here / name).is_symlink():
                yield here / name, Refused("link", "it is a link to a folder and is not followed; name the folder")
        for name in files:
            path = here / name
            if path.suffix.lower() in ENDINGS | _OTHERS:
                yield path, _why_not(path)
    for error in closed:
        yield Path(os.fsdecode(error.filename)), Refused("unreadable", f"it cannot be listed ({error.strerror})")


def _why_not(path: Path) -> Refused | None:
    if path.suffix.lower() in _OTHERS:
        return Refused("no_picture", f"{path.suffix.lower()} is not read; save it as PNG, JPEG, WebP or AVIF")
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        return Refused("unreadable", f"it cannot be read ({error.strerror})")
    return None if regular else Refused("no_file", "it is no regular file")


def _lacks(path: Path) -> bool:
    # A link that leads nowhere exists, and is told as a row of its own.
    return not path.exists() and not path.is_symlink()
