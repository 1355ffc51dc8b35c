"""The files that the demo leaves are opened to their end before it says that all is well."""

import pytest

from demo.media import describe, download, open_video, sample_frames
from demo.problems import DemoError


def test_a_video_is_measured_by_decoding_it(video):
    found = open_video(video)

    assert (found.width, found.height, found.frames, found.seconds) == (320, 180, 48, 2.0)
    assert describe(video) == "320x180, 48 frames, 2.00 s"


def test_a_picture_is_described_by_its_size(picture):
    assert describe(picture) == "320x180"


def test_frames_are_taken_from_the_whole_length_in_order(video):
    frames = sample_frames(video, 4)

    assert [seconds for seconds, _ in frames] == pytest.approx([0.25, 0.75, 1.25, 1.75])
    shades = [picture.convert("L").getpixel((160, 90)) for _, picture in frames]
    assert shades == pytest.approx([round(255 * place / 8) for place in (1, 3, 5, 7)], abs=12)


@pytest.mark.parametrize("name", ["page.mp4", "page.png"])
def test_an_error_page_that_was_saved_as_media_is_refused(tmp_path, name):
    file = tmp_path / name
    file.write_text("<html>Not Found</html>")

    with pytest.raises(DemoError, match=f"{name} is not a"):
        describe(file)


def test_half_a_picture_is_refused(tmp_path, picture):
    file = tmp_path / "half.png"
    file.write_bytes(picture.read_bytes()[:400])

    with pytest.raises(DemoError, match=r"half\.png is not a picture"):
        describe(file)


def test_an_address_that_nobody_answers_is_named(tmp_path, unused_tcp_port):
    with pytest.raises(DemoError, match=rf"127\.0\.0\.1:{unused_tcp_port}/x\.png could not be downloaded"):
        download(f"http://127.0.0.1:{unused_tcp_port}/x.png", tmp_path / "x.png")
