"""Whatever a run's parameters make of a payload: a refusal that names the field, or what can be sent as it is."""

from __future__ import annotations

import json
import warnings

from hypothesis import strategies as st

from airflow_provider_kling.budget.kling_budget import checked_cost
from airflow_provider_kling.payloads import get_payload_class, known_slugs
from airflow_provider_kling.payloads.files import files_in
from airflow_provider_kling.payloads.request import check_rendered, check_unrendered
from airflow_provider_kling.payloads.templates import is_template
from airflow_provider_kling.segmind import protocol
from airflow_provider_kling.segmind.errors import SegmindInputError
from airflow_provider_kling.segmind.identifiers import checked_request_id, checked_slug
from airflow_provider_kling.segmind.settings import Settings
from airflow_provider_kling.storage.lineage import _links
from airflow_provider_kling.storage.sidecar import _bared, bare
from airflow_provider_kling.submission.submission import fingerprint
from tests.fuzz.harness import fuzz
from tests.fuzz.invariants import assert_amount, assert_fit, assert_told
from tests.fuzz.strategies import LINK, any_text, encoded, json_values, nearly, scalars, values

#: Names that mean something to Python, to pydantic or to the classes themselves.
TAKEN = [
    "__init__",
    "__class__",
    "__dict__",
    "self",
    "label",
    "slug",
    "estimate",
    "model_fields",
    "to_request",
    "title",
]
FIELDS = sorted({name for slug in known_slugs() for name in get_payload_class(slug).model_fields})
names = st.one_of(st.sampled_from(FIELDS), st.sampled_from(TAKEN), any_text)
WORKING = {
    "prompt": "a fox of @Image1",
    "image_url": LINK,
    "image_urls": [LINK],
    "start_image_url": LINK,
    "image": LINK,
    "video_url": LINK,
    "audio_url": LINK,
    "first_reference_image": LINK,
    "second_reference_image": LINK,
    "duration": "5",
    "elements": [{"frontal_image_url": LINK}],
    "multi_prompt": [{"prompt": "a fox", "duration": "5"}],
    "cfg_scale": 0.5,
    "mode": "std",
}


@st.composite
def parameters(draw, slug):
    """Return what a model may be given: most of it right, or anything."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(json_values(names))
    payload_class = get_payload_class(slug)
    known = {name: value for name, value in WORKING.items() if payload_class and name in payload_class.model_fields}
    changed = draw(nearly(known or WORKING, odd=st.one_of(values, st.just(WORKING))))
    if isinstance(changed, dict) and draw(st.booleans()):
        changed = {**changed, draw(names): draw(values)}
    return encoded(changed).decode() if kind == 1 else changed


slugs = st.one_of(st.sampled_from([*known_slugs(), "kling-of-tomorrow"]), any_text)
requests = slugs.flatmap(lambda slug: st.tuples(st.just(slug), parameters(slug)))


@fuzz(40, request=requests)
def test_a_rendered_payload(request):
    slug, given = request
    try:
        checked = check_rendered(given, slug)
    except SegmindInputError as error:
        assert_told(error)
        return
    assert_fit(checked.parameters)
    body = protocol.submit(checked.model, checked.parameters).encoded_body()
    assert json.loads(body) == checked.parameters
    fingerprint(checked.model, checked.parameters)
    files_in(checked)
    assert check_rendered(checked.parameters, slug).parameters == checked.parameters
    if checked.payload is not None:
        price = checked.payload.estimate()
        str(price)
        assert_amount(price.low)
        assert_amount(price.high)
        checked.payload.unknown_parameters()
    described(checked.parameters)


@fuzz(40, request=requests)
def test_a_payload_of_a_dag_file(request):
    slug, given = request
    try:
        with warnings.catch_warnings(action="ignore"):
            payload, model = check_unrendered(given, slug)
    except SegmindInputError as error:
        assert_told(error)
        return
    if not is_template(model):  # else it is checked once it is rendered
        assert_fit([payload, model])


@fuzz(value=values)
def test_a_payload_that_only_the_hook_sees(value):
    try:
        body = protocol.submit("kling-o1", {"prompt": value}).encoded_body()
    except SegmindInputError as error:
        assert_told(error)
        return
    assert_fit(json.loads(body))


@fuzz(value=st.one_of(scalars, values))
def test_an_id_a_slug_and_an_amount(value):
    for check in (checked_request_id, checked_slug, lambda given: checked_cost("max_cost", given)):
        try:
            check(value)
        except SegmindInputError as error:
            assert_told(error)


@fuzz(
    host=st.one_of(st.none(), any_text, st.sampled_from(["https://api.segmind.com", "localhost:1", "http://[::1]:80"])),
    port=st.one_of(st.none(), st.integers(-1, 70_000)),
    # A process hides every key that it has read, for all tests that follow: a short one is not hidden, and no word.
    password=st.one_of(st.none(), any_text.map(lambda text: text[:5]), st.just("SG_1111")),
    extra=st.one_of(
        st.none(),
        any_text,
        nearly({"timeout": 60, "history_host": LINK, "allow_http": "true"}).map(
            lambda document: encoded(document).decode()
        ),
    ),
)
def test_a_connection(host, port, password, extra):
    try:
        settings = Settings.from_connection("segmind_default", host=host, port=port, password=password, extra=extra)
    except SegmindInputError as error:
        assert_told(error)
        return
    assert 0 < settings.timeout < float("inf")
    assert "SG_1111" not in repr(settings)


def described(sent):
    """Go through a payload as its description does, once the job is paid."""
    _bared(sent)
    for _, link in _links(sent):
        bare(link)
