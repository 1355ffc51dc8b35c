"""What is drawn: opened and measured with the libraries anyone would use."""

from __future__ import annotations

import base64
import io
import json
import math
import struct
import wave

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from airflow_provider_kling.simulator.catalogue import Catalogue
from airflow_provider_kling.simulator.drawing import film as films

HEIGHT = 72


def picture_of(client, url):
    return Image.open(io.BytesIO(client.get(url).content))


def film_of(client, url):
    return av.open(io.BytesIO(client.get(url).content))


def upload(client, content, media_type):
    data_url = f"data:{media_type};base64,{base64.b64encode(content).decode()}"
    return client.post("/upload-asset", json={"data_urls": [data_url]}).json()["file_urls"][0]


def frames_of(client, url):
    with film_of(client, url) as film:
        return [frame.to_image() for frame in film.decode(video=0)]


def difference(one, other):
    """How far two pictures are apart: the mean over all pixels, of 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean) / 3


def top(picture):
    """The part of a picture that is no caption."""
    return picture.crop((0, 0, picture.width, round(picture.height * 0.8)))


@pytest.fixture
def film(client, robot):
    """The URL of a film made from the robot."""
    made = client.run("kling-o1-image-to-video", prompt="wave", start_image_url=robot, duration=5)
    return made.json()["output"]


@pytest.fixture
def sound(client):
    """The URL of two seconds of a tone."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<h", round(9000 * math.sin(n / 4))) for n in range(16000)))
    return upload(client, content.getvalue(), "audio/wav")


@pytest.mark.parametrize(
    ("asked", "kind", "size"),
    [
        ({}, "PNG", (128, 72)),
        ({"aspect_ratio": "9:16", "output_format": "jpeg"}, "JPEG", (72, 128)),
        ({"aspect_ratio": "1:1", "output_format": "webp"}, "WEBP", (72, 72)),
        ({"aspect_ratio": "3:2", "resolution": "2K"}, "PNG", (216, 144)),
    ],
)
def test_a_picture_has_the_format_and_shape_asked_for(client, asked, kind, size):
    body = client.run("kling-3-text2image", prompt="hills", **asked).json()
    picture = picture_of(client, body["output"])
    picture.load()
    assert (picture.format, picture.size) == (kind, size)
    assert body["images"][0]["content_type"] == f"image/{kind.lower()}"


@pytest.mark.parametrize(
    ("duration", "ratio", "size"), [("3", "16:9", (128, 72)), (5, "9:16", (72, 128)), ("10", "1:1", (72, 72))]
)
def test_a_film_has_exactly_the_length_and_shape_asked_for(client, duration, ratio, size):
    body = client.run("kling-o3-text2video", prompt="hills", duration=duration, aspect_ratio=ratio).json()
    with film_of(client, body["output"]) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 24)
        assert (stream.width, stream.height) == size
        assert stream.duration * stream.time_base == int(duration)
        assert sum(1 for _ in film.decode(stream)) == int(duration) * 24


def test_a_film_without_a_say_lasts_as_long_as_the_declared_default(client, robot):
    body = client.run("kling-2.1", image=robot).json()
    assert len(frames_of(client, body["output"])) == 5 * 24


def test_two_pictures_are_merged_into_one(client, robot, beach):
    asked = {"prompt": "Merge @Image1 into the landscape of @Image2"}
    merged = picture_of(client, client.run("kling-o1", image_urls=[robot, beach], **asked).json()["output"])
    alone = picture_of(client, client.run("kling-o1", image_urls=[beach], **asked).json()["output"])
    assert merged.size == (128, 72)
    # The corners are still the beach, the middle left is not.
    corner, figure = (0, 0, 12, 8), (30, 10, 60, 50)
    assert difference(merged.crop(corner), alone.crop(corner)) < 2
    assert difference(merged.crop(figure), alone.crop(figure)) > 30


def test_a_film_from_a_picture_shows_it_in_motion(client, robot, beach):
    shown = picture_of(client, client.run("kling-o1", prompt="p", image_urls=[beach]).json()["output"])
    body = client.run("kling-o1-image-to-video", prompt="p", start_image_url=beach, end_image_url=robot).json()
    frames = frames_of(client, body["output"])
    assert difference(top(frames[0]), top(shown)) < 12
    assert difference(top(frames[0]), top(frames[40])) > 0.5
    assert difference(top(frames[-1]), top(shown)) > 40


def test_an_edit_plays_the_film_it_was_given_and_then_changes_it(client, film):
    before = frames_of(client, film)
    body = client.run("kling-o1-video-to-video-edit", prompt="Let it snow", video_url=film).json()
    after = frames_of(client, body["output"])
    assert len(after) == len(before)
    assert after[0].size == before[0].size
    # The edit wipes in from the left, so the right half is the original at first.
    right = (70, 0, 128, 56)
    assert difference(before[2].crop(right), after[2].crop(right)) < 4
    assert difference(top(before[100]), top(after[100])) > 15
    # Beneath the new colours it is the same moment of the same film.
    grey = [ImageStat.Stat(top(frame).convert("L")).stddev[0] for frame in (before[100], after[100])]
    assert grey[0] == pytest.approx(grey[1], rel=0.35)


def test_an_edit_without_a_duration_is_as_long_as_its_film(client):
    three = client.run("kling-o3-text2video", prompt="hills", duration="3").json()["output"]
    body = client.run("kling-o1-video-to-video-edit", prompt="at night", video_url=three).json()
    assert len(frames_of(client, body["output"])) == 72


def test_snow_falls_where_snow_is_asked_for(client, film):
    def white(prompt):
        body = client.run("kling-o1-video-to-video-edit", prompt=prompt, video_url=film).json()
        levels = top(frames_of(client, body["output"])[100]).convert("L").histogram()
        return sum(levels[236:])

    assert white("Let it snow") > white("Let it rain") + 10


def test_a_reference_film_repeats_when_more_is_asked_for_and_shows_its_pictures(client, film, robot, beach):
    body = client.run(
        "kling-o1-video-to-video-reference", prompt="p", video_url=film, image_urls=[beach, robot], duration=10
    ).json()
    plain = client.run("kling-o1-video-to-video-reference", prompt="p", video_url=film, duration=10).json()
    with_pictures, without = frames_of(client, body["output"]), frames_of(client, plain["output"])
    assert len(with_pictures) == len(without) == 240
    assert difference(top(with_pictures[200]), top(without[200])) > 5


def test_captions_do_not_pile_up(client, beach):
    first = client.run("kling-o1", prompt="one", image_urls=[beach]).json()["output"]
    second = client.run("kling-o1", prompt="two", image_urls=[first]).json()["output"]
    third = client.run("kling-o1", prompt="two", image_urls=[second]).json()["output"]
    pictures = [picture_of(client, url) for url in (first, second, third)]
    assert difference(top(pictures[1]), top(pictures[2])) < 1
    assert difference(top(pictures[0]), top(pictures[2])) < 1
    assert difference(pictures[0], pictures[1]) > 0


def test_an_avatar_speaks_as_long_as_its_sound(client, robot, sound):
    body = client.run("kling-v2-pro-avatar", prompt="p", image_url=robot, audio_url=sound).json()
    assert len(frames_of(client, body["output"])) == 48


def test_elements_are_fetched_and_shown(client, robot, beach):
    element = {"frontal_image_url": robot, "reference_image_urls": [robot]}
    asked = {"prompt": "@Element1 at the sea", "image_urls": [beach]}
    made = [
        client.run("kling-o1-reference-image-to-video", elements=given, **asked).json()["output"]
        for given in ([element], json.dumps([element]), None)
    ]
    as_list, as_text, none = [top(frames_of(client, url)[0]) for url in made]
    assert difference(as_list, as_text) < 0.1
    assert difference(as_list, none) > 5


def test_spaces_in_the_url_of_an_input_are_quoted(client, beach):
    url = beach.replace("/beach.png", "/beach.png?name=a name (1).png")
    assert client.run("kling-o1", prompt="p", image_urls=[url]).json()["status"] == "COMPLETED"


def test_an_input_that_cannot_be_had_fails_the_job(client, beach):
    for url, reason in (
        (f"{client.simulator.url}/generations/none.png", "answered 404"),
        ("http://127.0.0.1:9/a.png", "could not be fetched"),
        ("file:///etc/hostname", "not a URL"),
        ("nonsense", "not a URL"),
        (f"{client.simulator.url}/", "not an image"),
    ):
        answer = client.run("kling-o1", prompt="p", image_urls=[beach, url])
        assert answer.status_code == 422, url
        assert answer.json()["error"].startswith("image_urls ")
        assert reason in answer.json()["error"]


@pytest.mark.parametrize(
    ("model", "field", "other"),
    [
        ("kling-o1-video-to-video-edit", "video_url", {}),
        ("kling-v2-pro-avatar", "audio_url", {"image_url": "{robot}"}),
    ],
)
def test_a_picture_is_neither_a_film_nor_a_sound(client, robot, model, field, other):
    others = {name: value.format(robot=robot) for name, value in other.items()}
    answer = client.run(model, prompt="p", **{field: robot}, **others)
    assert answer.json()["status"] == "FAILED"
    assert answer.json()["error"].startswith(f"{field} ")


@pytest.mark.attack("Send the simulator a list of files on its machine as a film", "it opens none of them")
def test_a_list_of_local_files_is_no_film(tmp_path):
    films.write(tmp_path / "film.mp4", iter([Image.new("RGB", (128, 60))] * 3), Image.new("RGB", (128, 12)), (128, 72))
    (tmp_path / "list").write_text("ffconcat version 1.0\nfile film.mp4\n")
    with av.open(str(tmp_path / "list")) as film:
        assert next(film.decode(video=0)).width == 128  # FFmpeg would
    assert films.shape_of(tmp_path / "film.mp4") == (128, 72)
    with pytest.raises(av.FFmpegError):
        films.shape_of(tmp_path / "list")


def test_a_film_is_not_a_picture(client, film):
    answer = client.run("kling-o1", prompt="p", image_urls=[film])
    assert answer.json()["error"] == "image_urls is not an image"


def test_what_an_incomplete_table_does_not_know_does_no_harm(client, robot):
    body = client.run(
        "kling-2.6", prompt="half a character \ud800, \u6f22, \n\t", image_urls=5, resolution=[], elements=None
    ).json()
    assert body["status"] == "COMPLETED"
    for wrong in ({"aspect_ratio": "0:0"}, {"aspect_ratio": "wide"}, {"aspect_ratio": [1]}, {"output_format": "gif"}):
        assert client.run("kling-o3-image2video", prompt="p", image_url=robot, **wrong).json()["status"] == "COMPLETED"


def test_inputs_are_fetched_without_the_key(start):
    client = start()
    picture = f"{client.simulator.url}/simulator/inputs/beach.png"
    first = client.run("kling-o1", prompt="p", image_urls=[picture]).json()["output"]
    client.run("kling-o1", prompt="p", image_urls=[first])
    (download,) = client.simulator.downloads()
    assert download["key"] == "absent"


def test_a_picture_may_be_base64_where_no_url_is_declared(client, beach):
    coded = base64.b64encode(client.get(beach).content).decode()
    assert client.run("kling-image2video", image=coded).json()["status"] == "COMPLETED"
    assert client.run("kling-2.1", image=coded).json()["status"] == "FAILED"


def test_an_output_can_be_asked_about_and_read_in_parts(client):
    url = client.run("kling-o3-text2video", prompt="p", duration="3").json()["output"]
    whole = client.get(url, headers={"x-api-key": None})
    head = client.call("HEAD", url, headers={"x-api-key": None})
    assert head.headers["content-type"] == whole.headers["content-type"] == "video/mp4"
    assert int(head.headers["content-length"]) == len(whole.content)
    part = client.get(url, headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert url.endswith("-0.mp4")


@pytest.mark.parametrize("name", ["robot.png", "beach.png"])
def test_the_sample_inputs_are_large_enough_for_any_model(client, name):
    picture = picture_of(client, f"{client.simulator.url}/simulator/inputs/{name}")
    assert (picture.format, picture.size) == ("PNG", (1280, 720))


def test_there_is_no_third_sample(client):
    assert client.get("/simulator/inputs/..%2Fpasswd").status_code == 404


@pytest.mark.parametrize("slug", sorted(Catalogue.load().models))
def test_every_model_makes_something(client, robot, sound, film, slug):
    model = Catalogue.load().get(slug)
    inputs = {"video_url": film, "audio_url": sound, "prompt": "A toy robot"}
    asked = {row.name: inputs.get(row.name, robot) for row in model.parameters if row.required}
    if "image_urls" in asked:
        asked["image_urls"] = [robot]
    body = client.run(slug, **asked).json()
    assert body["status"] == "COMPLETED", body
    assert body["metrics"]["cost"] == model.price(asked)
