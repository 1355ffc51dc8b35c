from __future__ import annotations

import json
import pickle

import pytest

from airflow_provider_kling.segmind.call import Host
from airflow_provider_kling.segmind.errors import SegmindSettingsError
from airflow_provider_kling.segmind.settings import Settings


def read(host=None, password="SG_0123", port=None, **extra):
    return Settings.from_connection(
        "c", host=host, port=port, password=password, extra=json.dumps(extra) if extra else None
    )


def test_a_key_alone_is_enough():
    settings = read()
    assert [settings.base_url(host) for host in Host] == [
        "https://api.segmind.com",
        "https://api.spotprod.segmind.com",
        "https://workflows-api.segmind.com",
    ]
    assert settings.timeout == 60


@pytest.mark.parametrize(
    ("host", "base_url"),
    [
        ("https://api.segmind.com/", "https://api.segmind.com"),
        ("API.segmind.com", "https://api.segmind.com"),
        ("http://localhost:8765", "http://localhost:8765"),
        ("http://127.0.0.1:8765/", "http://127.0.0.1:8765"),
        ("http://[::1]:8765", "http://[::1]:8765"),
    ],
)
def test_a_host_is_taken_with_or_without_a_scheme(host, base_url):
    assert read(host).host == base_url


def test_what_is_empty_in_the_form_is_as_if_it_were_not_there():
    form = {"timeout": None, "requests_per_minute": "", "history_host": "", "storage_host": None, "allow_http": None}
    assert read("", port=0, **form) == read(None, port=None) == Settings(api_key="SG_0123")
    assert read(owner="team video") == read()


def test_a_host_that_is_not_segminds_answers_for_all_three_so_that_its_key_does_not_reach_segmind():
    settings = read("http://localhost:8765")
    assert settings.history_host == settings.storage_host == "http://localhost:8765"
    own = read("http://localhost:8765", history_host="http://localhost:1", storage_host="https://s.example.com")
    assert (own.history_host, own.storage_host) == ("http://localhost:1", "https://s.example.com")


def test_the_port_of_a_connection_uri_is_used():
    assert read("gateway.example.com", port=8443).host == "https://gateway.example.com:8443"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": None}, "no API key"),
        ({"password": "  "}, "no API key"),
        ({"password": "SG_ 12"}, "not an API key"),
        ({"password": "SG_\n12"}, "not an API key"),
        ({"host": "https://api.segmind.com/v2"}, "remove '/v2'"),
        ({"host": "https://api.segmind.com?x=1"}, "bare base URL"),
        ({"host": "https://user:pw@api.segmind.com"}, "user name or password"),
        ({"host": "http://api.segmind.com"}, "unencrypted"),
        ({"host": "http://127.0.0.1.example.com"}, "unencrypted"),
        ({"host": "ftp://api.segmind.com"}, "https"),
        ({"host": "https://"}, "names no host"),
        ({"host": "my host"}, "names no host"),
        ({"host": "https://[::1"}, "not a URL"),
        ({"port": 8765}, "port: 8765 is set and the host is not"),
        ({"host": "localhost", "port": 99999}, "port: 99999 is no port"),
        ({"host": "https://localhost:99999"}, "host: 'https://localhost:99999' is not a URL"),
        ({"requests_per_minut": 600}, "extra.requests_per_minut: there is no such field; did you mean"),
        ({"history-host": "https://x.example"}, "did you mean 'history_host'?"),
        ({"Timeout": 5}, "did you mean 'timeout'?"),
        ({"history_host": "http://history.example.com"}, "extra.history_host"),
        ({"storage_host": 7}, "extra.storage_host"),
        ({"timeout": "soon"}, "extra.timeout"),
        ({"timeout": 0}, "extra.timeout"),
        ({"timeout": True}, "extra.timeout"),
        ({"allow_http": "perhaps"}, "extra.allow_http"),
    ],
)
def test_a_connection_that_cannot_work_is_refused_in_one_line_that_names_the_field(fields, words):
    with pytest.raises(SegmindSettingsError) as caught:
        read(**fields)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "SG_" not in str(caught.value)


def test_an_extra_that_is_no_json_object_is_refused():
    for extra in ("{", "[1]", '"x"'):
        with pytest.raises(SegmindSettingsError, match="extra"):
            Settings.from_connection("c", host=None, port=None, password="k", extra=extra)


def test_http_to_another_machine_needs_the_connections_word():
    assert read("http://gateway.internal", allow_http=True).host == "http://gateway.internal"
    assert read("http://gateway.internal", allow_http="true").host == "http://gateway.internal"


def test_the_key_is_in_no_repr_and_in_no_pickle():
    settings = read(password="SG_secret")
    assert "SG_secret" not in repr(settings)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(settings)
