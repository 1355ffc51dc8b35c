"""Whatever is in a file, a link or the name of one."""

from __future__ import annotations

import io
from contextlib import suppress

from hypothesis import strategies as st

from airflow_provider_kling.media.measure import HEAD, extensions, media_type, shape
from airflow_provider_kling.segmind.addresses import is_address, is_link
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.sanitize import first_unfit
from airflow_provider_kling.storage.download_hosts import Hosts
from airflow_provider_kling.storage.names import PLACEHOLDERS, check_template, render
from airflow_provider_kling.storage.sidecar import bare
from tests.fuzz.harness import fuzz
from tests.fuzz.invariants import assert_told
from tests.fuzz.strategies import ODD_TEXTS, any_text

HEADS = [
    *[b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"\x00\x00\x00\x18ftypisom", b"\x00\x00\x00\x18ftypqt  "],
    *[b"\x1a\x45\xdf\xa3", b"RIFF\x00\x00\x00\x00WEBP", b"RIFF\x00\x00\x00\x00WAVE", b"ID3", b"<html>", b"#EXTM3U\n"],
]
#: No name of a host here has to be asked for.
HOSTS = ["127.0.0.1", "[::1]", "[::1", "169.254.169.254", "0x7f.1", "[64:ff9b::7f00:1]", "1.1.1.1", "", "u:p@1.1.1.1"]
links = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "https", "ftp", "file", "javascript", "HTTP"]),
    st.sampled_from(HOSTS),
    st.one_of(st.just(""), st.integers(-1, 70_000).map(":{}".format), st.just(":²")),
    st.one_of(st.just("/a.mp4"), any_text.map("/{}".format)),
)


@fuzz(head=st.builds(bytes.__add__, st.sampled_from(HEADS), st.binary(max_size=HEAD)))
def test_the_first_bytes_of_a_file(head):
    type_ = media_type(head)
    assert type_ is None or type_.extension in extensions(type_.kind)


@fuzz(1, content=st.builds(bytes.__add__, st.sampled_from(HEADS), st.binary(max_size=200)))
def test_a_file_that_is_decoded(content):
    with suppress(ValueError):  # it cannot be decoded
        shape(io.BytesIO(content), seconds=20)


@fuzz(link=links)
def test_a_link_that_is_followed(link):
    try:
        Hosts(frozenset({("127.0.0.1", 80)})).check_link(link)
    except SegmindError as error:
        assert_told(error)


@fuzz(text=st.one_of(any_text, links))
def test_a_text_that_may_be_an_address(text):
    bare(text)
    if is_link(text):
        assert is_address(text)
        assert not set(text) & set(' \t\r\n<>"\\`\x00')


@fuzz(
    parts=st.lists(
        st.one_of(any_text, st.sampled_from(["{dag_id}", "{ext}", ".{ext}", "{", "}", "/", "..", "{{ x }}", "{%"])),
        max_size=5,
    ),
    values=st.fixed_dictionaries({name: st.one_of(st.sampled_from(ODD_TEXTS), any_text) for name in PLACEHOLDERS}),
)
def test_the_name_of_a_file(parts, values):
    template = "".join(parts)
    try:
        check_template(template)
        name = render(template, values)
    except SegmindError as error:
        assert_told(error)
        return
    for path in (name.file("mp4"), name.sidecar):
        assert not path.startswith("/")
        assert not {"..", ".", ""} & set(path.split("/"))
        assert first_unfit(path) is None
