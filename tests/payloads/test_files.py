"""What may stand in a media field, and which of it has to be uploaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_kling.payloads import (
    Element,
    O3VideoReference,
    V1ImageToVideo,
    V2Avatar,
    V3ImageToVideo,
    V26Video,
    get_payload_class,
    known_slugs,
)
from airflow_provider_kling.payloads.files import files_in, media_of, replaced
from airflow_provider_kling.payloads.limits import PICTURE
from airflow_provider_kling.payloads.request import check_rendered, check_unrendered
from airflow_provider_kling.segmind.errors import KlingPayloadError

URL = "https://x.example/a.png"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (URL, URL),
        ("/data/a b#1.png", "/data/a b#1.png"),
        ("file:///data/a.png", "file:///data/a.png"),
        ("s3://bucket/a.png", "s3://bucket/a.png"),
        ("s3://conn_id@bucket/dir/a.png", "s3://conn_id@bucket/dir/a.png"),
        ("gs://bucket/a.png", "gs://bucket/a.png"),
        ("abfs://container/a.png", "abfs://container/a.png"),
        (Path("/data/a.png"), "/data/a.png"),
        (ObjectStoragePath("s3://bucket/a.png"), "s3://bucket/a.png"),
        (ObjectStoragePath("s3://bucket/a.png", conn_id="mine"), "s3://mine@bucket/a.png"),
        (ObjectStoragePath("s3://mine@bucket/a.png"), "s3://mine@bucket/a.png"),
        ("s3://bucket/{{ ds }}.png", "s3://bucket/{{ ds }}.png"),
    ],
)
def test_a_media_field_takes_addresses_and_files(given, text):
    payload = V3ImageToVideo(prompt="x", start_image_url=given)
    assert payload.to_request()["start_image_url"] == text
    assert check_unrendered(payload, None)[0]["start_image_url"] == text
    assert payload.estimate().low == pytest.approx(0.84)


@pytest.mark.parametrize(
    "given",
    [
        "a.png",
        "../a.png",
        "~/a.png",
        Path("a.png"),
        "/data/",
        "/",
        "file://data/a.png",
        "file:data/a.png",
        "s3://bucket",
        "s3://bucket/",
        "s3://conn_id@bucket",
        "S3://bucket/a.png",
        "htps://x/y.png",
        "ftp://x/y.png",
        "memory",
        "/data/\n.png",
        "/9j/" + "4AAQSkZJRgABAQAAAQABAAD" * 10,
    ],
)
def test_what_names_neither_an_address_nor_one_file_is_refused_with_advice(given):
    with pytest.raises(KlingPayloadError, match=r"start_image_url: .*'s3://bucket/a.png'.*absolute path"):
        V3ImageToVideo(prompt="x", start_image_url=given)


def test_options_that_an_address_cannot_carry_are_refused_by_name():
    with pytest.raises(KlingPayloadError, match="storage options \\(anon\\); put them into a connection"):
        V3ImageToVideo(prompt="x", start_image_url=ObjectStoragePath("s3://bucket/a.png", anon=True))


def test_a_picture_in_base64_is_no_file_where_the_model_takes_base64():
    jpeg = "/9j/" + "4AAQSkZJRgABAQAAAQABAAD" * 10
    assert files_in(check_rendered(V1ImageToVideo(image=jpeg).to_request(), "kling-image2video")) == []
    (file,) = files_in(check_rendered({"image": "/data/a.jpg"}, "kling-image2video"))
    assert file.media == PICTURE


def test_each_file_is_found_with_what_it_has_to_be():
    payload = O3VideoReference(
        prompt="@Element1",
        video_url="/data/film.mp4",
        image_urls=[URL, "/data/a.png"],
        elements=[Element(frontal_image_url="s3://b/c.png"), Element(reference_image_urls=[URL, "gs://b/d.png"])],
    )
    request = check_rendered(payload.to_request(), payload.slug)
    found = {file.field: (file.source, str(file.media)) for file in files_in(request)}
    picture = "image, at most 200 MB"
    assert {field: told for field, told in found.items() if field != "video_url"} == {
        "image_urls.1": ("/data/a.png", picture),
        "elements.0.frontal_image_url": ("s3://b/c.png", picture),
        "elements.1.reference_image_urls.1": ("gs://b/d.png", picture),
    }
    assert found["video_url"][1].startswith("mp4 or mov, at most 200 MB, 720 to 2160 px wide, 3 to 10 s (width: ")
    new = replaced(request.parameters, {("elements", 1, "reference_image_urls", 1): URL, ("video_url",): "x"})
    assert new["elements"][1]["reference_image_urls"] == [URL, URL]
    assert new["video_url"] == "x"
    assert request.parameters["video_url"] == "/data/film.mp4"


def test_the_limits_stand_with_the_fields_that_state_them():
    assert media_of(V3ImageToVideo, "end_image_url").largest == 50 * 1024**2
    assert media_of(V2Avatar, "audio_url").kind == "audio"
    assert media_of(V2Avatar, "prompt") is None
    assert media_of(V2Avatar, "video") is None


def test_every_field_that_takes_a_file_says_of_what_kind():
    for slug in known_slugs():
        payload_class = get_payload_class(slug)
        for part in (payload_class, Element):
            for name in part.model_fields:
                media = media_of(part, name)
                word = next((word for word in ("video", "audio") if word in name), "image")
                assert media is None or media.kind == word, f"{slug}: {name}"


def test_text_in_a_parameter_that_no_class_knows_is_no_file():
    with pytest.warns(UserWarning, match="sent unchecked"):
        payload = V26Video(prompt="x", image_url=Path("/data/a.png"), style="/data/b.png")
    (file,) = files_in(check_rendered(payload.to_request(), payload.slug))
    assert (file.field, file.source) == ("image_url", "/data/a.png")
