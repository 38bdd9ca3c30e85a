"""Files are read below the run's folder and nowhere else."""

import hashlib
import os
from pathlib import Path

import pytest

from qcgen.review.files import Files, media_type, read_below
from qcgen.review.problem import RefusedError

HOSTILE = (
    "../secret.png", "a/../../secret.png", "/etc/passwd", "a//b.png", "./a.png", "a/./b.png", "", ".", "..", "a\\..\\b",
    "a\0b", "a/", "..\\secret.png", "%2e%2e/secret.png", "a/b.png/..", "images/nothing.png", "x" * 5000, "\udcff.png",
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    (tmp_path / "secret.png").write_bytes(b"secret")
    return folder


def test_a_file_below_the_root_is_read(root: Path) -> None:
    assert read_below(root, "images/a.png").startswith(b"\x89PNG")


@pytest.mark.parametrize("relpath", HOSTILE)
def test_hostile_paths_name_nothing(root: Path, relpath: str) -> None:
    with pytest.raises(RefusedError) as refused:
        read_below(root, relpath)
    assert refused.value.problem.status == 404


def test_links_are_not_followed_neither_the_file_nor_a_folder(root: Path, tmp_path: Path) -> None:
    (root / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "linked").symlink_to(tmp_path)
    os.mkfifo(root / "images" / "pipe.png")
    for relpath in ("images/link.png", "linked/secret.png", "images/pipe.png", "images"):
        with pytest.raises(RefusedError):
            read_below(root, relpath)


def test_other_bytes_than_recorded_are_refused(root: Path) -> None:
    data = (root / "images" / "a.png").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert Files().read(root, "images/a.png", digest) == data
    (root / "images" / "a.png").write_bytes(data + b"!")
    with pytest.raises(RefusedError) as refused:
        Files().read(root, "images/a.png", digest)
    assert refused.value.problem.status == 409


def test_cache_forgets_the_oldest_when_it_is_full(root: Path) -> None:
    files, digests = Files(limit=100), []
    for number in range(4):
        data = bytes([number]) * 40
        (root / f"{number}.png").write_bytes(data)
        digests.append(hashlib.sha256(data).hexdigest())
        files.read(root, f"{number}.png", digests[-1])
        (root / f"{number}.png").unlink()
    for number in (2, 3):
        assert len(files.read(root, f"{number}.png", digests[number])) == 40
    with pytest.raises(RefusedError):
        files.read(root, "0.png", digests[0])


def test_only_pictures_have_a_media_type() -> None:
    assert media_type(b"\xff\xd8\xff\xe0") == "image/jpeg"
    assert media_type(b"RIFF1234WEBP") == "image/webp"
    for data in (b"<svg onload=alert(1)>", b"<html>", b"", b"GIF89a"):
        with pytest.raises(RefusedError):
            media_type(data)
