"""The rules that pages state in prose, and properties of all payloads."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
import time
import warnings
import wave

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_kling import payloads
from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.operators.kling import KlingSubmitOperator
from airflow_provider_kling.payloads import (
    CreateVoice,
    O3ImageToVideo,
    O3TextToVideo,
    O3VideoEdit,
    V2Video,
    V3ImageToVideo,
    V3TextToImage,
    V3TextToVideo,
    V16TextToVideo,
    V25TurboVideo,
    get_payload_class,
    known_slugs,
    table,
)
from airflow_provider_kling.payloads.request import check_rendered, check_unrendered
from airflow_provider_kling.segmind.errors import KlingPayloadError
from airflow_provider_kling.simulator.catalogue import Catalogue

URL = "https://x.example/a.png"
CATALOGUE = Catalogue.load()


def refusal(payload_class, **parameters):
    with pytest.raises(KlingPayloadError) as caught:
        payload_class(**parameters)
    with pytest.raises(KlingPayloadError):
        payload_class.from_rendered(parameters)
    return caught.value


@pytest.mark.parametrize("payload_class", [O3TextToVideo, V3TextToVideo])
def test_shots_stand_in_place_of_a_prompt_and_one_of_the_two_is_needed(payload_class):
    assert payload_class(multi_prompt=[{"prompt": "a fox"}])
    assert payload_class(prompt="a fox")
    error = refusal(payload_class)
    assert error.fields == ["prompt"]
    assert "or multi_prompt" in str(error)
    assert refusal(payload_class, multi_prompt=[]).fields == ["prompt"]


def test_a_shots_prompt_has_at_most_512_characters_where_the_page_says_so():
    assert V3TextToVideo(multi_prompt=[{"prompt": "x" * 512}])
    error = refusal(V3TextToVideo, multi_prompt=[{"prompt": "x" * 513}])
    assert "multi_prompt.0.prompt: has 513 characters, at most 512" in str(error)
    assert "multi_prompt.0.prompt: is required" in str(refusal(V3TextToVideo, multi_prompt=[{"duration": 5}]))
    assert O3TextToVideo(multi_prompt=[{"prompt": "x" * 513}])


@pytest.mark.parametrize(("payload_class", "most"), [(O3TextToVideo, 6), (V3TextToVideo, 5)])
def test_there_are_only_so_many_shots(payload_class, most):
    assert payload_class(multi_prompt=[{"prompt": "x"}] * most)
    assert f"at most {most}" in str(refusal(payload_class, multi_prompt=[{"prompt": "x"}] * (most + 1)))


def test_there_are_only_so_many_elements_by_model():
    element = {"frontal_image_url": URL}
    for payload_class, most, media in (
        (V3ImageToVideo, 3, {"start_image_url": URL}),
        (V3TextToImage, 10, {}),
        (O3VideoEdit, 10, {"video_url": URL}),
    ):
        assert payload_class(prompt="x", elements=[element] * most, **media)
        assert refusal(payload_class, prompt="x", elements=[element] * (most + 1), **media).fields == ["elements"]


@pytest.mark.parametrize(
    ("payload_class", "start"), [(O3ImageToVideo, "image_url"), (V3ImageToVideo, "start_image_url")]
)
def test_an_end_frame_needs_a_start_frame(payload_class, start):
    assert payload_class(prompt="x", end_image_url=URL, **{start: URL})
    assert refusal(payload_class, prompt="x", end_image_url=URL).fields == [start]


def test_tags_are_looked_for_in_shots_and_name_single_pictures_too():
    assert O3ImageToVideo(prompt="@Image1 runs", image_url=URL)
    assert O3ImageToVideo(prompt="from @Image1 to @Image2", image_url=URL, end_image_url=URL)
    assert "no @Image2" in str(refusal(O3ImageToVideo, prompt="@Image2", image_url=URL))
    error = refusal(V3ImageToVideo, multi_prompt=[{"prompt": "@Element1"}], start_image_url=URL)
    assert "multi_prompt: there is no @Element1, elements is not given" in str(error)
    assert "takes no images" in str(refusal(O3TextToVideo, prompt="@Image1"))


def test_unknown_parameters_are_refused_where_the_table_is_known_and_passed_on_with_a_warning_where_not():
    assert refusal(V16TextToVideo, prompt="x", seed=7).fields == ["seed"]
    with pytest.warns(UserWarning, match=r"sent unchecked: negative_promt \(did you mean negative_prompt\?\)"):
        payload = V25TurboVideo(prompt="x", negative_promt="y")
    assert payload.to_request() == {"prompt": "x", "negative_promt": "y"}
    assert "negative_promt" in payload.unknown_parameters()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rendered = CreateVoice.from_rendered({"voice_url": URL})
    assert rendered.to_request() == {"voice_url": URL}
    with pytest.raises(KlingPayloadError, match="voice_url: rendered to 'None'"):
        CreateVoice.from_rendered({"voice_url": "None"})
    # An unknown list may be what the tag is about.
    assert O3TextToVideo.from_rendered({"prompt": "@Image1", "reference_images": [URL]})


def test_kling_2_is_sent_its_seconds_as_a_number_as_its_own_example_does():
    for given_as in (5, "5"):
        assert V2Video(prompt="x", duration=given_as).to_request()["duration"] == 5
    assert refusal(V2Video, prompt="x", duration="7").fields == ["duration"]
    assert refusal(V2Video, prompt="x", duration=True).fields == ["duration"]


@pytest.mark.parametrize(
    ("payload", "low", "high", "text"),
    [
        (payloads.O1Image(prompt="x", image_urls=[URL]), 0.035, 0.035, "$0.035"),
        (O3TextToVideo(prompt="x", duration=3), 0.63, 1.05, "$0.63 to $1.05"),
        (O3TextToVideo(prompt="x"), 1.05, 1.75, "$1.05 to $1.75"),
        (O3TextToVideo(prompt="x", duration=15), 3.15, 5.25, "$3.15 to $5.25"),
        (O3TextToVideo(prompt="x", duration="{{ d }}"), 0.63, 5.25, "$0.63 to $5.25"),
        (O3TextToVideo(multi_prompt=[{"prompt": "x"}]), 0.63, 5.25, "$0.63 to $5.25"),
        (V2Video(prompt="x", duration=10), 3.5, 3.5, "$3.50"),
        (V25TurboVideo(prompt="x", duration=5), 0.44, 0.44, "$0.44"),
        (payloads.V1ImageToVideo(image=URL, duration=7), None, None, "not published, $0.864 on average"),
        (payloads.O1VideoEdit(prompt="x", video_url=URL), None, None, "not published, $1.277 on average"),
    ],
)
def test_a_price_is_estimated_from_what_is_published_or_said_to_be_unknown(payload, low, high, text):
    estimate = payload.estimate()
    assert (estimate.low, estimate.high, str(estimate)) == (low, high, text)


# Jinja eats braces and a last line break; what is left must arrive as it was written.
TEXTS = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="{}@"), min_size=1).filter(
    lambda text: text != "None"
)


def values(parameter, parts):
    if parameter.allowed:
        return st.sampled_from(parameter.allowed)
    if parameter.kind.startswith("list of"):
        item = parameter.kind.removeprefix("list of ")
        items = st.just(URL) if item == "URL" else part_values(parts[item])
        most = int(parameter.limits.split()[-1]) if parameter.limits else 4
        return st.lists(items, min_size=1, max_size=most)
    return {
        "text": TEXTS,
        "URL": st.sampled_from([URL, "https://x.example/a (1).mp4"]),
        "seconds": st.integers(1, 15),
        "whole number": st.integers(1, 15),
        "number": st.floats(0, 1),
        "true or false": st.booleans(),
    }[parameter.kind]


def part_values(part):
    if part.__name__ == "Element":
        return st.fixed_dictionaries(
            {"frontal_image_url": st.just(URL)},
            optional={"reference_image_urls": st.lists(st.just(URL), min_size=1, max_size=3)},
        )
    return st.fixed_dictionaries({"prompt": TEXTS}, optional={"duration": st.sampled_from(["3", "5"])})


@st.composite
def good_payloads(draw):
    payload_class = payloads.get_payload_class(draw(st.sampled_from(payloads.known_slugs())))
    parts = {part.__name__: part for part in table.parts(payload_class)}
    rows = table.parameters(payload_class)
    required = {row.name: values(row, parts) for row in rows if row.required}
    optional = {row.name: values(row, parts) for row in rows if not row.required}
    if table.prompt_or_shots(payload_class):
        required["prompt"] = TEXTS
        optional.pop("prompt")
    return payload_class, draw(st.fixed_dictionaries(required, optional=optional))


@given(good_payloads())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_a_class_accepts_survives_dump_rendering_reload_and_the_simulators_own_check(generated):
    payload_class, parameters = generated
    if not parameters:  # a model of which no parameter is known; an empty payload is refused
        return
    payload = payload_class(**parameters)
    operator = KlingSubmitOperator(task_id="submit", payload=payload)
    operator.render_template_fields({})
    request = check_rendered(json.loads(json.dumps(operator.payload)), operator.model)
    assert request.parameters == payload.to_request()
    assert payload_class.from_rendered(request.parameters) == payload
    model = CATALOGUE.get(payload_class.slug)
    model.admit(request.parameters)
    assert model.flaw(request.parameters) is None


def breakages(payload_class, parameters):
    """Yield single changes, each of which breaks a stated rule of the model, with the field at fault."""
    rows = table.parameters(payload_class)
    if payload_class.is_complete:
        yield "sparkle", {**parameters, "sparkle": 1}
    for row in rows:
        if row.required:
            yield row.name, {name: value for name, value in parameters.items() if name != row.name}
        if row.allowed:
            yield row.name, {**parameters, row.name: "no such value"}
        if row.kind == "URL":
            yield row.name, {**parameters, row.name: "me/a.png"}
        if row.kind == "list of URL":
            yield row.name, {**parameters, row.name: ["a.png"]}
        if row.kind == "number":
            yield row.name, {**parameters, row.name: 1.01}
        if row.kind == "true or false":
            yield row.name, {**parameters, row.name: "perhaps"}
        if row.kind == "list of Element":
            yield row.name, {**parameters, row.name: [{}]}
            yield row.name, {**parameters, row.name: [{"reference_image_urls": [URL] * 4}]}
            if row.limits:
                yield row.name, {**parameters, row.name: [{"frontal_image_url": URL}] * 11}
        if row.name == "prompt":
            yield row.name, {**parameters, row.name: " "}
            yield row.name, {**parameters, row.name: "a fox like @Image99"}


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_single_change_that_breaks_a_stated_rule_is_refused_by_name(data):
    payload_class, parameters = data.draw(good_payloads())
    changes = list(breakages(payload_class, parameters))
    if not changes:
        return
    field, broken = data.draw(st.sampled_from(changes))
    with pytest.raises(KlingPayloadError) as caught:
        payload_class.from_rendered(broken)
    assert field in caught.value.fields
    assert field in str(caught.value)


def test_importing_the_operator_builds_no_model_and_one_family_does_not_build_another():
    code = (
        "import sys, {module}\n"
        "from airflow_provider_kling.payloads.base import KlingPayload\n"
        "def all(c): return [c, *(x for s in c.__subclasses__() for x in all(s))]\n"
        "print([c.__name__ for c in all(KlingPayload) if 'slug' in vars(c)])"
    )
    for module, built in (("operators.kling", 0), ("payloads.o1", 5)):
        found = subprocess.run(  # noqa: S603 is this test's own code
            [sys.executable, "-c", code.format(module=f"airflow_provider_kling.{module}")],
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(json.loads(found.stdout.strip().splitlines()[-1].replace("'", '"'))) == built


def test_every_model_runs_end_to_end_with_an_example_of_its_own(sim, conn_id, pictures, tmp_path):
    sound = tmp_path / "voice.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(n / 5))) for n in range(8000)))
    hook = SegmindHook(conn_id)
    (sound_url,) = hook.upload([sound])
    values = {"prompt": "a fox", "image_urls": pictures, "audio_url": sound_url, "voice_url": sound_url}

    def submitted(slug):
        payload_class = get_payload_class(slug)
        required = [row.name for row in table.parameters(payload_class) if row.required]
        if table.prompt_or_shots(payload_class):
            required.append("prompt")
        if "motion-control" in slug:
            required += ["image_url", "video_url"]
        example = payload_class(**{name: values.get(name, pictures[0]) for name in required or ["voice_url"]})
        request = check_rendered(*check_unrendered(example, None))
        return hook.submit(request.model, request.parameters).request_id

    def result(request_id):
        while not hook.get_status(request_id).status.is_terminal:
            time.sleep(0.02)
        return hook.get_result(request_id)

    values["video_url"] = result(submitted("kling-o1-reference-image-to-video")).url
    jobs = {slug: submitted(slug) for slug in known_slugs()}
    results = {slug: result(request_id) for slug, request_id in jobs.items()}
    assert {found.status for found in results.values()} == {"COMPLETED"}
    assert sum(bool(found.url) for found in results.values()) == len(results) - 1  # a voice is no file
    assert all(found.metrics.cost > 0 for found in results.values())
