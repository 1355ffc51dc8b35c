"""A file that is being written, on a disk to which others may write too."""

from __future__ import annotations

import hashlib
import os
import stat

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_kling.storage.partial_file import Part, create, replace

OUTSIDE = b"a file that is nobody's business"


@pytest.fixture
def outside(tmp_path):
    """Return a file outside of the folder for results, and the folder."""
    (tmp_path / "outside").write_bytes(OUTSIDE)
    (tmp_path / "out").mkdir()
    return tmp_path / "outside", tmp_path / "out"


def begin(folder):
    return Part.begin(LocalFileSystem(), str(folder), "whose", "00000000")


@pytest.mark.attack("A link stands where a download is written first", "what it leads to is neither read nor written")
@pytest.mark.parametrize("plant", ["symlink_to", "hardlink_to"])
@pytest.mark.parametrize("again", [False, True])
def test_a_part_is_a_file_of_its_own_whatever_stood_under_its_name(outside, plant, again):
    secret, folder = outside
    getattr(folder / ".whose.00000000.part", plant)(secret)
    part = begin(folder)
    assert (part.size, part.head) == (0, b"")
    if again:
        getattr(_replaced(folder / ".whose.00000000.part"), plant)(secret)
        part.restart()
    part.write(b"a film")
    part.close()
    part.move(str(folder / "film.mp4"))
    assert secret.read_bytes() == OUTSIDE
    assert (folder / "film.mp4").read_bytes() == b"a film"
    assert not (folder / "film.mp4").is_symlink()


def _replaced(file):
    file.unlink()
    return file


@pytest.mark.attack("A named pipe stands where a download is written first", "the task does not wait for it")
def test_a_pipe_under_the_name_of_a_part_is_no_part(outside):
    _, folder = outside
    os.mkfifo(folder / ".whose.00000000.part")
    part = begin(folder)
    part.write(b"a film")
    part.close()
    assert (folder / ".whose.00000000.part").read_bytes() == b"a film"


def test_what_an_earlier_attempt_left_of_a_part_is_gone_on_with(outside):
    _, folder = outside
    first = begin(folder)
    first.write(b"a ")
    first.keep()
    second = begin(folder)
    assert (second.size, second.head) == (2, b"a ")
    second.write(b"film")
    second.close()
    assert second.sha256 == hashlib.sha256(b"a film").hexdigest()


@pytest.mark.attack(
    "A link to a folder stands under the name of the file to be saved", "nothing is put into that folder"
)
def test_a_file_takes_the_place_of_a_link_and_does_not_follow_it(outside):
    _, folder = outside
    (folder.parent / "other").mkdir()
    (folder / "film.mp4").symlink_to(folder.parent / "other")
    part = begin(folder)
    part.write(b"a film")
    part.close()
    part.move(str(folder / "film.mp4"))
    assert (folder / "film.mp4").read_bytes() == b"a film"
    assert list((folder.parent / "other").iterdir()) == []


@pytest.mark.attack("A link stands under the name of a description", "what it leads to is not written")
@pytest.mark.parametrize("target", ["outside", "nowhere"])
def test_a_description_takes_the_place_of_a_link_and_does_not_follow_it(outside, target):
    secret, folder = outside
    link = folder / "film.json"
    link.symlink_to(folder.parent / target)
    with pytest.raises(FileExistsError):
        create(LocalFileSystem(), str(link), b"{}")
    replace(LocalFileSystem(), str(link), b"{}")
    assert link.read_bytes() == b"{}"
    assert not link.is_symlink()
    assert secret.read_bytes() == OUTSIDE
    assert sorted(file.name for file in folder.parent.iterdir()) == ["out", "outside"]
    assert [file.name for file in folder.iterdir()] == ["film.json"]


def test_saved_files_have_the_permissions_that_the_umask_of_the_worker_leaves(outside):
    _, folder = outside
    before = os.umask(0o027)
    try:
        part = begin(folder)
        part.write(b"a film")
        part.close()
        part.move(str(folder / "film.mp4"))
        create(LocalFileSystem(), str(folder / "film.json"), b"{}")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o640}
