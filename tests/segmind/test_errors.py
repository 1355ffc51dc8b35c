from __future__ import annotations

import pickle

import pytest

from airflow_provider_kling.segmind import errors
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.sanitize import EXCERPT_CHARS, excerpt


def every_class(root=SegmindError):
    own = (child for child in root.__subclasses__() if child.__module__ == SegmindError.__module__)
    return [root, *(found for child in own for found in every_class(child))]


@pytest.mark.parametrize("error_class", every_class())
def test_every_error_survives_an_event_and_another_process_with_its_facts(error_class):
    facts = {name: ["x"] if name == "fields" else 1.5 for name in error_class.extra_facts}
    error = error_class("what to do", request_id="r-1", status_code=422, body="{}", **facts)
    for copy in (SegmindError.from_dict(error.to_dict()), pickle.loads(pickle.dumps(error))):  # noqa: S301 is our own
        assert type(copy) is error_class
        assert str(copy) == "what to do"
        assert copy.to_dict() == error.to_dict()


def test_an_error_of_a_newer_version_comes_back_as_the_root():
    error = SegmindError.from_dict({"class": "SegmindMoonError", "message": "x", "tide": 3, "request_id": "r-1"})
    assert type(error) is SegmindError
    assert error.request_id == "r-1"


def test_no_error_is_an_airflow_exception_so_that_soft_fail_does_not_hide_it():
    from airflow.providers.common.compat.sdk import AirflowException

    assert not any(issubclass(error_class, AirflowException) for error_class in every_class())


def test_the_module_docstring_draws_every_class():
    assert all(error_class.__name__ in errors.__doc__ for error_class in every_class())


def test_an_unknown_fact_is_a_programming_error():
    with pytest.raises(TypeError, match="balance"):
        errors.SegmindServerError("x", balance=1)


def test_an_excerpt_is_one_printable_line_of_bounded_length():
    assert excerpt(b"a\n\x00 b\t\x1b[31m" + "é".encode()) == "a b [31mé"
    assert len(excerpt(b"x" * 100_000)) == EXCERPT_CHARS
