"""What a file is, on files that the simulator and Pillow write."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import pytest
import requests
from PIL import Image

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.storage.media import HEAD, MP4, Shape, media_type, shape

if TYPE_CHECKING:
    from airflow_provider_kling.simulator import Simulator


@pytest.mark.parametrize(
    ("format_", "mime"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("GIF", "image/gif")]
)
def test_a_picture_is_known_by_its_first_bytes_and_measured(format_, mime):
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, format_)

    known = media_type(file.getvalue()[:HEAD])

    file.seek(0)
    assert known is not None
    assert (known.mime, known.kind) == (mime, "image")
    assert shape(file) == Shape(64, 48, None)


@pytest.mark.parametrize("head", [b"", b"<!DOCTYPE html><html>", b'{"error": "gone"}', b"%PDF-1.7", b"ftypisom"])
def test_what_is_no_media_has_no_type(head):
    assert media_type(head) is None


def test_what_is_no_media_cannot_be_decoded():
    with pytest.raises(ValueError, match="cannot be decoded"):
        shape(io.BytesIO(b"<html>gone</html>"))


def test_a_video_is_measured_and_one_cut_short_is_not_taken_for_whole(sim: Simulator, conn_id: str):
    hook = SegmindHook(conn_id)
    receipt = hook.submit("kling-o3-text2video", {"prompt": "a robot walks", "duration": "3"})
    while not hook.get_status(receipt.request_id).status.is_terminal:
        time.sleep(0.05)
    film = requests.get(hook.get_result(receipt.request_id).url, timeout=10).content

    assert media_type(film[:HEAD]) == MP4
    measured = shape(io.BytesIO(film))
    assert (measured.width, measured.height, round(measured.duration)) == (128, 72, 3)
    for tenth in range(1, 10):
        with pytest.raises(ValueError, match="cannot be decoded"):
            shape(io.BytesIO(film[: len(film) * tenth // 10]))
