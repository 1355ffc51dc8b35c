"""Payloads that nobody would write who means well: refused before anything is sent, or sent as they are."""

from __future__ import annotations

import math

import pytest

from airflow_provider_kling.payloads import O1Image, V3TextToImage
from airflow_provider_kling.payloads.request import check_rendered, check_unrendered
from airflow_provider_kling.segmind import protocol
from airflow_provider_kling.segmind.errors import KlingPayloadError
from airflow_provider_kling.segmind.settings import Settings
from airflow_provider_kling.storage.lineage import Lineage, describe

PICTURE = "https://e.com/a.png"
pytestmark = pytest.mark.filterwarnings("ignore:.*sent unchecked")


@pytest.mark.attack(
    "Put half an emoji, NUL or an escape sequence into a prompt", "refused before anything is sent, with its place"
)
@pytest.mark.parametrize("sign", ["\ud83e", "\x00", "\x1b", "\x9b"])
@pytest.mark.parametrize("model", ["kling-o1", "kling-of-tomorrow"])
def test_a_text_that_cannot_be_handed_on_is_refused(sign, model, seen):
    given = {"prompt": f"a fox{sign}", "image_urls": [PICTURE]}
    for check in (check_rendered, check_unrendered):
        with pytest.raises(KlingPayloadError, match=rf"prompt: holds U\+{ord(sign):04X} as character 6") as error:
            check(given, model)
    seen(error.value)
    with pytest.raises(KlingPayloadError, match="prompt: holds"):
        protocol.submit(model, given).encoded_body()


@pytest.mark.attack(
    "Put NaN, numbers of 70 digits, deep lists or objects into a parameter",
    "refused before anything is sent, with its place",
)
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.nan, "is nan, which JSON does not have"),
        (math.inf, "is inf, which JSON does not have"),
        (10**70, "more than 64 bits"),
        (10**5000, "more than 64 bits"),
        ({1, 2}, "is a set"),
        (b"x", "is a bytes"),
        ({1: 2}, "a parameter named 1"),
        ({"a\x00": 2}, "a parameter named"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.parametrize("model", ["kling-3-text2image", "kling-of-tomorrow"])
def test_a_value_that_is_no_json_is_refused(value, words, model):
    with pytest.raises(KlingPayloadError, match=f"odd: .*{words}|: odd {words}"):
        check_rendered({"prompt": "a fox", "odd": value}, model)


@pytest.mark.attack("Nest a payload 100,000 deep, as a value and as text", "refused before anything is sent")
def test_a_payload_that_is_too_deep_is_refused():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for given in ({"prompt": "a fox", "odd": deep}, '{"prompt": ' + "[" * 100_000 + "]" * 100_000 + "}"):
        with pytest.raises(KlingPayloadError, match=r"nested (too|more than 50) deep"):
            check_rendered(given, "kling-3-text2image")
    with pytest.raises(KlingPayloadError, match="nested more than 50 deep"):
        V3TextToImage(prompt="a fox", odd=deep[0][0])
    with pytest.raises(KlingPayloadError, match="nested more than 50 deep"):
        protocol.submit("kling-o1", {"odd": deep}).encoded_body()


@pytest.mark.attack("Name a parameter __init__, label or model_fields", "it is sent as it is")
@pytest.mark.parametrize(
    "name", ["__init__", "__class__", "self", "label", "estimate", "slug", "title", "model_fields", "price_range"]
)
def test_a_parameter_named_as_a_method_is_a_parameter(name):
    given = {"prompt": "a fox", name: "x"}
    request = check_rendered(given, "kling-3-text2image")
    assert request.parameters == given
    assert check_unrendered(given, "kling-3-text2image") == (given, "kling-3-text2image")
    assert request.payload.estimate().high == 0.035
    with pytest.raises(KlingPayloadError, match="no such parameter"):
        O1Image(prompt="a fox", image_urls=[PICTURE], **{name: "x"})


@pytest.mark.attack('Give a picture\'s model a duration of "std"', "its price is the picture's")
@pytest.mark.parametrize("duration", ["std", [], {"a": 1}, "nan", True])
def test_a_duration_that_the_model_does_not_know_does_not_count_in_its_price(duration):
    request = check_rendered({"prompt": "a fox", "duration": duration}, "kling-3-text2image")
    assert request.payload.estimate().high == 0.035


@pytest.mark.attack("Write http://[::1 as a prompt", "the job's description is written all the same")
@pytest.mark.parametrize(
    "prompt", ["http://[::1", "https://e.com:x/", '["http://[::1"]', "s3://[", "[" * 10_000, "data:[,"]
)
def test_a_prompt_that_looks_like_an_address_leaves_the_job_its_description(prompt):
    made = describe(
        {"request_id": "x"}, PICTURE, None, Lineage(hook=None), payload={"prompt": prompt, "image": PICTURE}
    )
    assert [source.url for source in made.inputs] == [PICTURE]


@pytest.mark.attack("Store a timeout of 400 digits in a connection's extra", "refused, with the field's name")
def test_a_number_without_an_end_is_no_timeout():
    with pytest.raises(ValueError, match=r"extra\.timeout"):
        Settings.from_connection("c", host=None, port=None, password="SG_1", extra='{"timeout": 1' + "0" * 400 + "}")
