"""Names that cannot escape or collide, and files that are whole or absent."""

import errno
import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qcgen.core.errors import PausedError, SpecError
from qcgen.core.types import Item
from qcgen.generate.write import explain, place, slug, sync_folders, write_file

HOSTILE = [
    "../../x",
    "a" * 300,
    "\x00\n\x1b[2J",
    "CON",
    "con",
    "nul",
    "com1",
    "",
    ".",
    "..",
    "/etc/passwd",
    "Å b",
    "\ud800",
    "-",
    "--",
    "日本",
]


@given(st.text(max_size=400))
@example("../../x")
@example("a" * 300)
@example("CON")
def test_every_name_becomes_a_safe_folder_name(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]{1,64}", slug(name))
    assert slug(name) not in {"con", "nul", "prn", "aux", "com1", "lpt1"}


@given(st.text(max_size=80), st.text(max_size=80))
def test_different_names_never_share_a_folder(first: str, second: str) -> None:
    assert (slug(first) == slug(second)) == (first == second)


@given(st.text(max_size=80))
def test_a_made_folder_name_used_as_a_name_gets_a_folder_of_its_own(name: str) -> None:
    made = slug(name)
    assert made == name or slug(made) != made


def test_a_plain_name_is_kept() -> None:
    assert slug("tee-4711") == "tee-4711"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_inside_the_images_folder(name: str, tmp_path: Path) -> None:
    item = Item(3, "0" * 32, name, "p", {}, seed=9, size_px=32)
    path = tmp_path / place(item, "png")
    write_file(path, b"x")
    assert path.resolve().is_relative_to((tmp_path / "images").resolve())
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["000003-9.png"]


def test_writing_replaces_a_whole_file_and_leaves_no_part(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.png"
    write_file(path, b"old")
    write_file(path, b"new")
    sync_folders([path.parent, path.parent])
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["b.png"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_a_pause(number: int) -> None:
    assert isinstance(explain(OSError(number, os.strerror(number)), Path("a/b")), PausedError)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR])
def test_folder_that_cannot_be_written_is_the_users_mistake(number: int) -> None:
    assert isinstance(explain(OSError(number, os.strerror(number)), Path("a/b")), SpecError)


def test_unforeseen_error_is_not_dressed_up() -> None:
    error = OSError(errno.EIO, "input/output error")
    assert explain(error, Path("a/b")) is error


def test_output_folder_that_is_a_file_is_a_spec_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(SpecError, match=r"output\.dir"):
        write_file(tmp_path / "out" / "images" / "a.png", b"x")
