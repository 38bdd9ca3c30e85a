"""The picture files among paths, and what looks like one and cannot be read: nothing is left out in silence."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qcgen.core.errors import SpecError
from qcgen.core.wording import file_name
from qcgen.data.decoder import Refused

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".webp", ".avif"})
_OTHERS = frozenset({
    ".gif", ".tif", ".tiff", ".bmp", ".dib", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".j2c", ".jpf",
    ".jpx", ".psd", ".psb", ".xcf", ".svg", ".eps", ".ico", ".tga", ".pcx", ".pbm", ".pgm", ".ppm", ".pnm", ".exr",
    ".hdr", ".apng", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2",
})  # fmt: skip
"""Of pictures that are not read: a row each, because somebody will miss them."""


@dataclass(frozen=True, slots=True)
class Found:
    """Files to read, and paths that cannot be, each sorted; how many without an ending were left out in folders."""

    pictures: tuple[Path, ...]
    refused: tuple[tuple[Path, Refused], ...]
    without_ending: int = 0


def find_files(paths: Sequence[Path]) -> Found:
    """Look through files and folders; links to folders are not followed, so that no loop can catch it.

    A file that is named is a picture or refused, whatever its ending.

    Raises:
        SpecError: a path given does not exist; or files were named and nothing there looks like a picture.
    """
    problems = [f"{file_name(path)}: no such file or folder. Cure: check the path." for path in paths if _lacks(path)]
    if problems:
        raise SpecError(problems)
    pictures: set[Path] = set()
    refused: dict[Path, Refused] = {}
    unnamed: set[Path] = set()
    plain = [path for path in paths if path.is_file() and path.suffix.lower() not in ENDINGS | _OTHERS]
    for path in set(paths) - set(plain):
        for found, why in _walk(path, unnamed) if path.is_dir() else [(path, _why_not_named(path))]:
            if why is None:
                pictures.add(found)
            else:
                refused[found] = why
    if plain and not pictures and not refused:
        kinds = ", ".join(sorted(ENDINGS))
        raise SpecError(
            [f"{file_name(path)}: must end in one of {kinds}. Cure: name pictures or folders." for path in plain]
        )
    refused |= {path: Refused("no_picture", "it does not end as pictures do; save it as PNG or JPEG") for path in plain}
    return Found(tuple(sorted(pictures)), tuple(sorted(refused.items())), len(unnamed - set(plain)))


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


def _walk(folder: Path, unnamed: set[Path]) -> Iterator[tuple[Path, Refused | None]]:
    """Pictures below a folder, and why others are none; files without an ending, but for hidden ones, are noted."""
    closed: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=closed.append):
        here = Path(place)
        for name in folders:
            if os.path.islink(here / name):
                yield here / name, Refused("link", "it is a link to a folder and is not followed; name the folder")
        for name in files:
            path = here / name
            if path.suffix.lower() in ENDINGS | _OTHERS:
                yield path, _why_not(path)
            elif not path.suffix and not name.startswith("."):
                unnamed.add(path)
    for error in closed:
        yield Path(os.fsdecode(error.filename)), Refused("unreadable", f"it cannot be listed ({error.strerror})")


def _why_not_named(path: Path) -> Refused | None:
    """Of its ending alone: what else is wrong with it is found when it is read."""
    if path.suffix.lower() in _OTHERS:
        return Refused("no_picture", f"{path.suffix.lower()} is not read; save it as PNG, JPEG, WebP or AVIF")
    return None


def _why_not(path: Path) -> Refused | None:
    if (why := _why_not_named(path)) is not None:
        return why
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        return Refused("unreadable", f"it cannot be read ({error.strerror})")
    return None if regular else Refused("no_file", "it is no regular file")


def _lacks(path: Path) -> bool:
    # A link that leads nowhere exists, and is told as a row of its own.
    return not path.exists() and not path.is_symlink()
