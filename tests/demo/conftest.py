"""Small real media files, made once."""

from pathlib import Path

import av
import pytest
from PIL import Image, ImageDraw

FRAMES = 48
RATE = 24
SIZE = (320, 180)


@pytest.fixture(scope="session")
def picture(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("picture") / "picture.png"
    image = Image.new("RGB", SIZE, (40, 90, 160))
    ImageDraw.Draw(image).ellipse((100, 30, 220, 150), (250, 200, 80))
    image.save(file)
    return file


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> Path:
    """Two seconds that go from black to white, so that a frame tells its place."""
    file = tmp_path_factory.mktemp("video") / "video.mp4"
    with av.open(file, "w") as container:
        stream = container.add_stream("h264", rate=RATE)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(FRAMES):
            shade = round(number * 255 / (FRAMES - 1))
            frame = av.VideoFrame.from_image(Image.new("RGB", SIZE, (shade, shade, shade)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file
