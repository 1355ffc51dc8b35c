from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest
from airflow.providers.common.compat.sdk import BaseOperator
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kling import payloads
from airflow_provider_kling.payloads import (
    Element,
    O1Image,
    O1ReferenceToVideo,
    O1VideoEdit,
    O1VideoReference,
    O3VideoReference,
    V26Video,
)
from airflow_provider_kling.segmind.errors import KlingPayloadError

PICTURE = "https://segmind-resources.s3.amazonaws.com/output/horse.jpg"
VIDEO = "https://segmind-resources.s3.amazonaws.com/input/kling-o3-v2v-input-video.mp4"

# The parameters of the pages' own example requests, as they stand there.
PAGE_EXAMPLES = [
    (
        O1VideoReference,
        {
            "prompt": "Based on @Video1, generate the next shot. Keep the style of the video",
            "video_url": VIDEO,
            "image_urls": [PICTURE, PICTURE],
            "aspect_ratio": "auto",
            "duration": "5",
            "keep_audio": False,
        },
    ),
    (
        O1ReferenceToVideo,
        {
            "prompt": "smooth camera movements of @image1 riding on @image2",
            "image_urls": [PICTURE, PICTURE],
            "duration": "5",
            "aspect_ratio": "16:9",
        },
    ),
    (
        O1VideoEdit,
        {
            "prompt": "change the background of the video with the background in @image1",
            "video_url": "https://segmind-inference-inputs.s3.amazonaws.com/3044799-hd_1280_720_24fps (1).mp4",
            "image_urls": [PICTURE],
            "keep_audio": False,
        },
    ),
    (
        O3VideoReference,
        {
            "prompt": "Transform the scene into a winter wonderland",
            "video_url": VIDEO,
            "mode": "pro",
            "duration": "5",
            "aspect_ratio": "16:9",
            "keep_audio": False,
            "shot_type": "customize",
        },
    ),
]
O1_IMAGE_EXAMPLE = {
    "prompt": "Merge @Image1 into the landscape of @Image2",
    "resolution": "1K",
    "aspect_ratio": "auto",
    "output_format": "png",
}


def refusal(payload_class, **parameters):
    with pytest.raises(KlingPayloadError) as caught:
        payload_class(**parameters)
    with pytest.raises(KlingPayloadError):
        payload_class.from_rendered(parameters)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(("payload_class", "example"), PAGE_EXAMPLES)
def test_a_pages_own_example_is_a_good_payload_and_is_sent_as_it_stands(payload_class, example):
    for payload in (payload_class(**example), payload_class.from_rendered(example)):
        assert payload.to_request() == example


def test_the_o1_image_pages_example_lacks_what_its_own_table_requires():
    assert "image_urls: is required" in str(refusal(O1Image, **O1_IMAGE_EXAMPLE))
    assert O1Image(**O1_IMAGE_EXAMPLE, image_urls=[PICTURE, PICTURE]).to_request()["resolution"] == "1K"


def test_a_misspelt_parameter_is_named_where_unknown_ones_are_not_refused():
    told = str(refusal(V26Video, promt="a fox"))
    assert "prompt: is required; 'promt', which is no known parameter, may be meant." in told


@pytest.mark.parametrize("payload_class", [O1ReferenceToVideo, O1VideoReference, O3VideoReference])
def test_a_duration_is_taken_as_number_and_as_text_and_sent_as_the_pages_example_sends_it(payload_class):
    media = {"image_urls": [PICTURE]} if payload_class is O1ReferenceToVideo else {"video_url": VIDEO}
    for given_as in (5, "5"):
        assert payload_class(prompt="x", duration=given_as, **media).to_request()["duration"] == "5"
    for wrong in (7.5, True, "five", "05", 16, None, [5]):
        assert refusal(payload_class, prompt="x", duration=wrong, **media).fields == ["duration"]


@pytest.mark.parametrize(
    ("payload_class", "prompt", "media", "words"),
    [
        (O1Image, "put @Image3 there", {"image_urls": [PICTURE, PICTURE]}, "image_urls gives @Image1 to @Image2"),
        (O1Image, "put @IMAGE3 there", {"image_urls": [PICTURE, PICTURE]}, "there is no @IMAGE3"),
        (O1Image, "put @image0 there", {"image_urls": [PICTURE]}, "image_urls gives @Image1;"),
        (O1Image, "with @Element1", {"image_urls": [PICTURE]}, "kling-o1 takes no elements"),
        (O1Image, "like @video1", {"image_urls": [PICTURE]}, "kling-o1 takes no videos"),
        (O1ReferenceToVideo, "@element1 runs", {"image_urls": [PICTURE]}, "elements is not given"),
        (O1VideoEdit, "cut @Video2", {"video_url": VIDEO}, "video_url gives @Video1;"),
        (O1VideoEdit, "(@Image1)", {"video_url": VIDEO}, "image_urls is not given"),
        (
            O3VideoReference,
            "@Element2!",
            {"video_url": VIDEO, "elements": [{"frontal_image_url": PICTURE}]},
            "elements gives @Element1;",
        ),
    ],
)
def test_a_tag_that_names_nothing_is_refused_whatever_its_case(payload_class, prompt, media, words):
    error = refusal(payload_class, prompt=prompt, **media)
    assert words in str(error)
    assert error.fields == ["prompt"]


@pytest.mark.parametrize(
    "prompt", ["@Image1, @image2 and @IMAGE1.", "mail me@image9.example", "@images @Image @Image1st"]
)
def test_what_is_no_tag_or_a_good_one_is_left_alone(prompt):
    assert O1Image(prompt=prompt, image_urls=[PICTURE, PICTURE]).prompt == prompt


def test_an_unknown_parameter_is_refused_with_the_nearest_known_name():
    error = refusal(O1Image, prompt="x", image_urls=[PICTURE], aspect_ration="16:9")
    assert "aspect_ration: no such parameter; did you mean 'aspect_ratio'?" in str(error)
    error = refusal(O1Image, prompt="x", image_urls=[PICTURE], zoom=3)
    assert "It takes image_urls, prompt, aspect_ratio, output_format, resolution" in str(error)


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"aspect_ratio": "4:3"}, "aspect_ratio", "use 'auto', '16:9', '9:16' or '1:1'"),
        ({"prompt": ""}, "prompt", "empty"),
        ({"prompt": "   "}, "prompt", "empty"),
        ({"prompt": 7}, "prompt", "string"),
        ({"image_urls": []}, "image_urls", "is empty"),
        ({"image_urls": PICTURE}, "image_urls", "list"),
        ({"image_urls": ["me/robot.png"]}, "image_urls", "by its absolute path"),
        ({"image_urls": ["data:image/png;base64,AA=="]}, "image_urls", "data: URL"),
        ({"image_urls": ["ftp://x/y.png"]}, "image_urls", "not an http(s) URL"),
        ({"image_urls": ["https://"]}, "image_urls", "not an http(s) URL"),
        ({"image_urls": ["https://x/\n.png"]}, "image_urls", "not an http(s) URL"),
        ({"image_urls": [None]}, "image_urls", ""),
    ],
)
def test_a_bad_value_is_refused_with_its_field_and_what_to_use(change, field, words):
    good = {"prompt": "x", "image_urls": [PICTURE]}
    error = refusal(O1Image, **{**good, **change})
    assert error.fields == [field]
    assert words in str(error)


def test_elements_have_pictures_and_are_not_too_many():
    with pytest.raises(KlingPayloadError, match="frontal_image_url: an element needs"):
        Element()
    with pytest.raises(KlingPayloadError, match="holds 4, at most 3"):
        Element(reference_image_urls=[PICTURE] * 4)
    error = refusal(O3VideoReference, prompt="x", video_url=VIDEO, elements=[{"frontal_image_url": PICTURE}] * 11)
    assert "at most 10" in str(error)
    error = refusal(O3VideoReference, prompt="x", video_url=VIDEO, elements=[{"frontal_image_url": "x"}])
    assert "elements.0.frontal_image_url" in str(error)
    payload = O1ReferenceToVideo(
        prompt="@Element1", image_urls=[PICTURE], elements=[Element(frontal_image_url=PICTURE)]
    )
    assert payload.to_request()["elements"] == [{"frontal_image_url": PICTURE}]


@pytest.mark.parametrize(
    "template", ["{{ params.x }}", "{% if x %}y{% endif %}", BaseOperator(task_id="upstream").output["url"]]
)
def test_templates_are_left_for_later_and_the_rest_is_checked_now(template):
    payload = O1VideoEdit(
        prompt=template,
        video_url=template,
        image_urls=[template, PICTURE],
        keep_audio=template,
        elements=[{"frontal_image_url": template}],
    )
    request = payload.to_request()
    assert request["prompt"] is template
    assert request["image_urls"] == [template, PICTURE]
    assert request["elements"] == [{"frontal_image_url": template}]
    with pytest.raises(KlingPayloadError, match="aspect_ratio"):
        O1Image(prompt=template, image_urls=template, aspect_ratio="4:3")
    with pytest.raises(KlingPayloadError, match="@Image3"):
        O1Image(prompt="@Image3", image_urls=[template, template])
    assert O1Image(prompt="@Image3", image_urls=template)


@pytest.mark.parametrize("left_over", [None, "", " ", "None"])
def test_what_an_empty_template_leaves_behind_is_refused_after_rendering(left_over):
    good = {"prompt": "x", "video_url": VIDEO, "image_urls": [PICTURE], "elements": [{"frontal_image_url": PICTURE}]}
    for field in ("prompt", "video_url", "image_urls"):
        with pytest.raises(KlingPayloadError, match=f"{field}: rendered to"):
            O1VideoEdit.from_rendered({**good, field: left_over})
    with pytest.raises(KlingPayloadError, match=r"image_urls\.0"):
        O1VideoEdit.from_rendered({**good, "image_urls": [left_over]})
    with pytest.raises(KlingPayloadError, match=r"elements\.0\.frontal_image_url: rendered to"):
        O1VideoEdit.from_rendered({**good, "elements": [{"frontal_image_url": left_over}]})


def test_after_rendering_no_template_is_left_alone():
    with pytest.raises(KlingPayloadError, match="not an http"):
        O1VideoEdit.from_rendered({"prompt": "x", "video_url": "{{ x }}"})
    with pytest.raises(KlingPayloadError, match="there is no @Image1"):
        O1VideoEdit.from_rendered({"prompt": "write {{ on @Image1", "video_url": VIDEO})
    rendered = O1VideoEdit.from_rendered({"prompt": "write {{ on it", "video_url": VIDEO, "keep_audio": "True"})
    assert rendered.to_request() == {"prompt": "write {{ on it", "video_url": VIDEO, "keep_audio": True}


def test_only_what_was_given_is_sent():
    assert O1Image(prompt="x", image_urls=[PICTURE]).to_request() == {"prompt": "x", "image_urls": [PICTURE]}
    assert "elements" not in O1VideoEdit(prompt="x", video_url=VIDEO, elements=None).to_request()


def test_a_payload_survives_copying_and_pickling():
    payload = O1Image(prompt="{{ x }}", image_urls=[PICTURE])
    for again in (copy.deepcopy(payload), pickle.loads(pickle.dumps(payload))):  # noqa: S301 is our own
        assert again == payload


@given(
    prompt=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).filter(
        lambda text: text.strip() not in {"", "None"} and "@" not in text
    ),
    count=st.integers(1, 5),
    tag=st.integers(0, 9),
    spelling=st.sampled_from(["@Image", "@image", "@IMAGE"]),
)
def test_a_tag_is_accepted_exactly_where_its_picture_exists(prompt, count, tag, spelling):
    parameters = {"prompt": f"{prompt} {spelling}{tag}.", "image_urls": [PICTURE] * count}
    if 1 <= tag <= count:
        payload = O1Image.from_rendered(parameters)
        assert payload.to_request() == parameters
        assert O1Image.from_rendered(payload.to_request()) == payload
    else:
        with pytest.raises(KlingPayloadError, match="prompt: there is no"):
            O1Image.from_rendered(parameters)


def test_every_class_is_found_by_its_slug_and_knows_what_it_takes_and_costs():
    for slug in payloads.known_slugs():
        payload_class = payloads.get_payload_class(slug)
        assert payload_class.slug == slug
        assert payload_class.usual_latency > 0
        assert payload_class.usual_cost > 0
        assert payload_class.output in {"image", "video", "voice"}
        assert all(field.description for field in payload_class.model_fields.values())
    assert payloads.get_payload_class("kling-9") is None
    with pytest.raises(AttributeError):
        payloads.O9Image  # noqa: B018 is the access that fails


def test_importing_the_package_builds_no_class():
    code = "import airflow_provider_kling.payloads, sys; print([m for m in sys.modules if 'payloads.' in m])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert found.stdout.strip() == "[]"
