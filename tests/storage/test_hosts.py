"""Which hosts a worker downloads from."""

from __future__ import annotations

import pytest

from airflow_provider_kling.segmind.errors import KlingDownloadError, KlingDownloadRefusedError
from airflow_provider_kling.segmind.settings import Settings
from airflow_provider_kling.storage.hosts import Hosts, is_public

OWN = Hosts.of(
    Settings(
        api_key="k", host="http://127.0.0.1:8080", history_host="https://10.0.0.5", storage_host="https://s.example"
    )
)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 nothing is bound to it
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ],
)
def test_no_address_inside_a_network_is_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_on_the_internet_is(address):
    assert is_public(address)


@pytest.mark.parametrize("link", ["http://127.0.0.1:8080/x", "https://10.0.0.5/y", "https://10.0.0.5:443/y"])
def test_the_hosts_of_the_connection_may_be_private(link):
    OWN.check_link(link)


@pytest.mark.parametrize(
    "link",
    [
        "http://127.0.0.1:8081/x",
        "http://10.0.0.5/y",
        "http://localhost:8080/x",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://8.8.8.8@127.0.0.1/",
        "https://user:pw@8.8.8.8/",
        "ftp://8.8.8.8/",
        "file:///etc/passwd",
        "gopher://8.8.8.8/",
        "//8.8.8.8/",
        "8.8.8.8",
        "http://",
        "http://[::1",
        "http://8.8.8.8:99999/",
    ],
)
def test_anything_else_that_is_no_public_web_address_is_refused(link):
    with pytest.raises(KlingDownloadRefusedError):
        OWN.check_link(link)


def test_a_public_address_is_allowed():
    OWN.check_link("https://8.8.8.8/x.mp4?signature=1")


def test_a_name_that_cannot_be_found_may_be_found_later_and_is_the_proxys_to_find():
    with pytest.raises(KlingDownloadError, match="cannot be found now") as caught:
        OWN.check_link("https://no-such-host.invalid/x?sig=secret")
    assert caught.value.retryable
    assert "secret" not in str(caught.value)
    OWN.check_link("https://no-such-host.invalid/x", proxied=True)
