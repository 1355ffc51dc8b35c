"""Reading and checking files, on real ones."""

from __future__ import annotations

import hashlib
import os

import pytest
from fsspec.implementations.local import LocalFileSystem
from PIL import Image

from airflow_provider_kling.payloads.limits import LARGEST_UPLOAD, Media
from airflow_provider_kling.storage.open_files import UnfitFileError
from airflow_provider_kling.uploads.source_files import expanded, reason_it_does_not_fit, stage


@pytest.fixture
def picture(tmp_path):
    file = tmp_path / "a b#1?%20.png"
    Image.new("RGB", (64, 48), "red").save(file)
    return file


def test_a_file_is_read_once_and_its_copy_outlives_a_change(picture):
    content = picture.read_bytes()
    for source in (str(picture), f"file://{picture}"):
        staged = stage(source)
        assert (staged.size, staged.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert staged.type.mime == "image/png"
        staged.copy.seek(0)
        assert staged.copy.read() == content
        staged.copy.close()


def test_a_file_above_the_maximum_is_refused_before_it_is_read(tmp_path):
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.write(b"\x89PNG\r\n")
        file.truncate(LARGEST_UPLOAD + 1)
    with pytest.raises(UnfitFileError, match="at most 200 MB are uploaded"):
        stage(str(large))


def test_a_file_that_never_ends_is_not_read_for_ever(tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(UnfitFileError, match="not a file"):
        stage(str(pipe))


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"<html>", "is no picture"), (b"[core]\nkey = 1", "is no picture")]
)
def test_what_is_no_media_is_refused(tmp_path, content, words):
    file = tmp_path / "a.png"
    file.write_bytes(content)
    with pytest.raises(UnfitFileError, match=words):
        stage(str(file))


def test_what_is_not_there_or_cannot_be_opened_says_so(tmp_path):
    with pytest.raises(UnfitFileError, match="does not exist on this worker"):
        stage(str(tmp_path / "nowhere.png"))
    with pytest.raises(UnfitFileError, match="is a directory"):
        stage(str(tmp_path))
    with pytest.raises(UnfitFileError, match=r"cannot be opened \(.*wandb.*provider of that storage"):
        stage("wandb://bucket/a.png")


@pytest.mark.parametrize(
    ("media", "fits"),
    [
        (Media(), True),
        (Media("image"), True),
        (Media("video"), False),
        (Media("image", extensions=("jpg",)), False),
        (Media("image", largest=10), False),
        (Media("image", width=(64, 64)), True),
        (Media("image", width=(65, 99)), False),
        (Media("image", seconds=(3, 10)), True),  # a picture has no length
    ],
)
def test_a_file_is_held_against_what_a_field_takes(picture, media, fits):
    staged = stage(str(picture))
    words = reason_it_does_not_fit(staged, media)
    assert (words is None) == fits
    assert words is None or words.startswith("is image/png of ")
    staged.copy.close()


def test_a_file_that_cannot_be_decoded_is_refused_where_its_size_counts(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert "cannot be decoded" in reason_it_does_not_fit(stage(str(broken)), Media(width=(1, 9)))
    assert reason_it_does_not_fit(stage(str(broken)), Media()) is None


def test_a_pattern_stands_for_the_files_that_match_sorted(tmp_path):
    for name in ("b.png", "a.png", "c.jpg", "[x].png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "d.png").mkdir()
    names = [str(tmp_path / name) for name in ("[x].png", "a.png", "b.png")]
    assert expanded(f"{tmp_path}/*.png") == names
    assert expanded(f"file://{tmp_path}/*.png") == [f"file://{name}" for name in names]
    assert expanded(names[0]) == [names[0]]
    assert expanded(f"{tmp_path}/*.gif") == []


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.png", ["a.png"]),
        ("?.png", ["a.png"]),
        ("[!b].png", ["a.png"]),
        ("*/*.png", ["one/b.png"]),
        ("**/*.png", ["a.png", "one/b.png", "one/two/c.png"]),
        ("**/**/*.png", ["a.png", "one/b.png", "one/two/c.png"]),
        ("one/**", ["one/b.png", "one/two/c.png"]),
        ("**/two/*", ["one/two/c.png"]),
        ("*.jpg", []),
        ("none/*.png", []),
    ],
)
def test_a_pattern_stands_for_the_files_that_fsspec_finds_by_it(tmp_path, pattern, found):
    (tmp_path / "one/two").mkdir(parents=True)
    for name in ("a.png", "one/b.png", "one/two/c.png"):
        (tmp_path / name).touch()
    assert expanded(f"{tmp_path}/{pattern}") == [f"{tmp_path}/{name}" for name in found]
    globbed = LocalFileSystem().glob(f"{tmp_path}/{pattern}", detail=True)
    assert sorted(name for name, facts in globbed.items() if facts["type"] == "file") == expanded(
        f"{tmp_path}/{pattern}"
    )
