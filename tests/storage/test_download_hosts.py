"""Which hosts a worker downloads from."""

from __future__ import annotations

import pytest

from airflow_provider_kling.segmind.errors import KlingDownloadRefusedError
from airflow_provider_kling.segmind.settings import Settings
from airflow_provider_kling.storage.download_hosts import Hosts, is_public, shown

OWN = Hosts.of(
    Settings(
        api_key="k", host="http://127.0.0.1:8080", history_host="https://10.0.0.5", storage_host="https://s.example"
    )
)


@pytest.mark.attack("A file is at an address of the worker's own network or cloud", "it is no public address")
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
        "2002:808:808::1",
        "2001:0:53aa:64c:0:1:f7f7:f7f7",
        "168.63.129.16",
        "::ffff:168.63.129.16",
        "64:ff9b::a83f:8110",
        "192.0.0.192",
        "192.0.0.9",
        "192.88.99.1",
        "100.100.100.200",
        "fec0::1",
        "::8.8.8.8",
        "::127.0.0.1",
        "64:ff9b:1::808:808",
        "fd00:ec2::254",
        "3fff::1",
        "5f00::1",
        "2001:db8::1",
        "2606:4700::1111%eth0",
        "no address",
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


@pytest.mark.attack(
    "A link or a redirect leads into the network, by any spelling, port or name", "refused, proxy or not"
)
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
        "http://8.8.8.8:0/",
        "http://8.8.8.8:22/",
        "https://8.8.8.8:6379/",
        "http://files.example.com:8080/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://169.254.43518/",
        "http://1.2.3.0x7f/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://127\u30020\u30020\u30021/",
        "http://b\xfccher.example/",
        "http://[fe80::1%25eth0]/",
        "http://metadata/",
        "http://metadata.google.internal/",
        "http://printer.local./",
        "http://api.localhost/",
        "http://router.home.arpa/",
        "http://8.8.8.8\\@127.0.0.1/",
        "http://files.example.com/a b",
        "http://files.example.com/\r\nX: y",
        "http://files.example.com\t/",
        "http://files..example.com/",
        "http://" + "a" * 70_000,
    ],
)
def test_anything_else_that_is_no_public_web_address_is_refused(link):
    with pytest.raises(KlingDownloadRefusedError):
        OWN.check_link(link)


def test_a_public_address_is_allowed():
    OWN.check_link("https://8.8.8.8/x.mp4?signature=1")


def test_a_name_that_only_a_proxy_can_find_is_the_proxys_to_find():
    OWN.check_link("https://no-such-host.invalid/x")
    OWN.check_name("https://no-such-host.invalid/x")


def test_what_a_message_shows_of_a_link_holds_no_signature_and_no_password():
    assert shown("https://me:pw@e.example/a.mp4?sig=secret") == "https://***@e.example/a.mp4"
