"""The storyboard shows every file of a run where a reader looks for it."""

from PIL import ImageStat

from demo.media import sample_frames
from demo.storyboard import CELL, GAP, HEADER, HEADING, HERO, MARGIN, WIDTH, Scene, Storyboard


def draw(picture, video):
    scene = {"details": ("kling-o1", "3.1 s", "$0.035")}
    return Storyboard(
        title="Image, then video, then edit",
        subtitle="on Airflow",
        figure=picture,
        place=picture,
        image=Scene(title="1 Image", file=picture, **scene),
        video=Scene(title="2 Video", file=video, **scene),
        edit=Scene(title="3 Edit", file=video, **scene),
        footer="$2.657 for three jobs",
    ).draw()


def shade(sheet, column, top):
    """Brightness in the middle of a picture of a row."""
    left = MARGIN + column * (CELL[0] + GAP) + CELL[0] // 2
    return ImageStat.Stat(sheet.crop((left - 4, top + 80, left + 4, top + 88)).convert("L")).mean[0]


def test_every_picture_of_the_run_is_in_its_place(picture, video):
    sheet = draw(picture, video)
    frames = [ImageStat.Stat(frame.convert("L")).mean[0] for _, frame in sample_frames(video, 4)]

    video_row = HEADER + HEADING + HERO[1] + HEADING
    edit_row = video_row + CELL[1] + HEADING
    for top in (video_row, edit_row):
        for column, expected in enumerate(frames):
            assert abs(shade(sheet, column, top) - expected) < 3
    # The yellow disc of the test picture, in the middle of the large image.
    red, green, blue = sheet.getpixel((WIDTH - MARGIN - HERO[0] // 2, HEADER + HEADING + HERO[1] // 2))
    assert red > 200
    assert green > 150
    assert blue < 120


def test_the_same_run_is_drawn_the_same(picture, video):
    assert draw(picture, video).tobytes() == draw(picture, video).tobytes()
