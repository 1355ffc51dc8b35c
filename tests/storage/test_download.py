"""Downloads over real sockets: broken off, lied to, led elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from airflow_provider_kling.segmind.errors import (
    KlingDownloadError,
    KlingDownloadRefusedError,
    KlingFileExpiredError,
    KlingStorageError,
)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_file_arrives_whole_with_its_checksum(host, fetch, film, tmp_path):
    part = fetch()
    assert Path(part.path).read_bytes() == film
    assert part.sha256 == hashlib.sha256(film).hexdigest()
    assert host.asked == [None]


@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_download_cut_at_any_tenth_goes_on_from_there(host, fetch, film, tenth):
    cut = len(film) * tenth // 10
    host.cuts = [cut]
    part = fetch()
    assert Path(part.path).read_bytes() == film
    assert len(host.asked) == 2
    begin = int(host.asked[1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < begin <= cut
    assert host.sent < 1.2 * len(film)


@pytest.mark.parametrize("resets", [False, True])
def test_a_download_cut_at_every_tenth_arrives_all_the_same(host, fetch, film, resets):
    host.cuts = [len(film) * tenth // 10 for tenth in range(1, 10)]
    host.resets = resets
    part = fetch()
    assert part.sha256 == hashlib.sha256(film).hexdigest()
    assert resets or host.sent < 1.5 * len(film)


@pytest.mark.parametrize("honours", ["no ranges", "no validator"])
def test_a_host_that_cannot_resume_is_asked_for_the_whole_file_again(host, fetch, film, honours):
    host.cuts = [len(film) // 2]
    host.ranges = honours != "no ranges"
    host.etag = None if honours == "no validator" else host.etag
    part = fetch()
    assert Path(part.path).read_bytes() == film
    assert part.sha256 == hashlib.sha256(film).hexdigest()


def test_a_file_that_changed_meanwhile_is_not_spliced(host, fetch, film):
    class Changing(list):
        def remove(self, cut):
            super().remove(cut)
            host.etag, host.body = '"v2"', film[: len(film) // 3]

    host.cuts = Changing([len(film) // 2])
    part = fetch()
    assert Path(part.path).read_bytes() == film[: len(film) // 3]


def test_a_host_that_never_gets_further_is_given_up_and_what_came_is_left_for_the_next_attempt(
    host, fetch, film, tmp_path
):
    host.announced = len(film) + 10_000
    with pytest.raises(KlingDownloadError, match=r"broke off after \d+ of \d+ bytes.*not lost"):
        fetch()
    (left,) = names(tmp_path)
    assert left.endswith(".part")


def test_the_next_attempt_goes_on_where_the_last_one_was_killed(host, fetch, film, tmp_path):
    first = fetch()
    half = Path(first.path)
    half.write_bytes(film[: len(film) // 2])
    host.asked.clear()
    part = fetch()
    assert host.asked == [None, f"bytes={len(film) // 2}-"]
    assert part.sha256 == hashlib.sha256(film).hexdigest()
    assert half.read_bytes() == film


def test_leftovers_of_other_bytes_are_removed_and_those_of_other_files_are_left(fetch, film, tmp_path):
    (tmp_path / ".whose.00000000.part").write_bytes(b"old")
    (tmp_path / ".another.00000000.part").write_bytes(b"somebody else's")
    part = fetch()
    assert names(tmp_path) == sorted([".another.00000000.part", Path(part.path).name])


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"<!DOCTYPE html><html>Sign in to the airport's network</html>", "video", "web page"),
        (b'{"error": "gone"}', None, "a picture, a video or a sound"),
        (b"\x89PNG\r\n\x1a\n" + b"0" * 99, "video", "image/png in place of a video"),
        (b"", "video", "in place of a video"),
    ],
)
def test_what_is_not_the_promised_kind_of_file_is_refused_and_not_left(host, fetch, tmp_path, body, kind, words):
    host.body = body
    with pytest.raises(KlingDownloadError, match=words) as caught:
        fetch(kind=kind)
    assert caught.value.retryable
    assert names(tmp_path) == []


def test_a_file_above_the_limit_is_refused(host, fetch, tmp_path):
    with pytest.raises(KlingDownloadRefusedError, match="max_bytes allows 1000"):
        fetch(max_bytes=1000)
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_dead_link_is_told_apart_from_trouble(host, fetch, tmp_path, status):
    host.first = [(status, {})]
    with pytest.raises(KlingFileExpiredError) as caught:
        fetch()
    assert caught.value.status_code == status
    assert names(tmp_path) == []


def test_passing_trouble_is_tried_again(host, fetch, film):
    host.first = [(503, {}), (429, {}), (500, {})]
    assert fetch().sha256 == hashlib.sha256(film).hexdigest()


def test_a_redirect_within_the_allowed_hosts_is_followed(host, fetch, film):
    host.first = [(302, {"Location": "/elsewhere.mp4"})]
    assert fetch().sha256 == hashlib.sha256(film).hexdigest()


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2/x", "http://169.254.169.254/latest", "http://[::1]:1/", "file:///etc/passwd", "//0/"]
)
def test_a_redirect_to_a_private_address_is_refused(host, fetch, tmp_path, target):
    host.first = [(302, {"Location": target})]
    with pytest.raises(KlingDownloadRefusedError):
        fetch()
    assert names(tmp_path) == []


def test_redirects_that_never_end_are_refused(host, fetch):
    host.first = [(302, {"Location": "/again"})] * 9
    with pytest.raises(KlingDownloadRefusedError, match="redirects more than"):
        fetch()


def test_no_key_and_no_netrc_goes_along(host, fetch, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    fetch()
    assert not {"x-api-key", "authorization", "cookie"} & host.headers[0].keys()


def test_a_file_that_two_attempts_write_to_is_not_kept(host, begin, film, tmp_path):
    part = begin("v")
    part.write(film)
    with Path(part.path).open("ab") as other:
        other.write(b"a zombie's bytes")
    with pytest.raises(KlingStorageError, match="another attempt"):
        part.close()
    assert names(tmp_path) == []
