"""What a file is, on files that the simulator and Pillow write."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import pytest
import requests
from PIL import Image

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.media.measure import HEAD, MP4, Shape, media_type, shape

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


HEADS = {
    "png": b"\x89PNG\r\n\x1a\n",
    "jpeg": b"\xff\xd8\xff\xe0",
    "gif": b"GIF89a",
    "webp": b"RIFF\x00\x00\x00\x00WEBP",
    "mp4": b"\x00\x00\x00\x18ftypmp42",
    "webm": b"\x1a\x45\xdf\xa3",
    "mp3": b"ID3\x04\x00",
    "wav": b"RIFF\x00\x00\x00\x00WAVE",
}
SDP = (
    b"\nv=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    b"m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)


@pytest.mark.attack("A file begins as media and goes on as a list of addresses", "refused at once, no port is opened")
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize(
    "rest", [SDP, b"\n#EXTM3U\nhttp://127.0.0.1:9/a.ts\n", b"\nffconcat version 1.0\nfile /etc/passwd\n"]
)
def test_what_begins_as_media_and_goes_on_as_a_list_of_addresses_is_refused_at_once(head, rest):
    begun = time.monotonic()
    with pytest.raises(ValueError, match=r"cannot be decoded|pixels"):
        shape(io.BytesIO(head + rest))
    assert time.monotonic() - begun < 20


def test_a_picture_of_more_pixels_than_any_model_takes_is_not_decoded():
    file = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(file, "PNG")
    assert len(file.getvalue()) < 1_000_000
    with pytest.raises(ValueError, match="144,000,000 pixels"):
        shape(file)


def test_a_file_that_is_decoded_for_too_long_is_given_up():
    class Slow(io.BytesIO):
        def read(self, size=-1):
            time.sleep(0.5)
            return super().read(size)

    file = Slow()
    Image.new("RGB", (64, 48), "red").save(file, "PNG")
    with pytest.raises(ValueError, match=r"cannot be decoded within 0\.2 s"):
        shape(file, seconds=0.2)
