"""Hosts that want a worker's time, its memory or its network: each ends as an error that says what to do."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from airflow_provider_kling.segmind.errors import KlingDownloadError, KlingDownloadRefusedError
from airflow_provider_kling.storage.download_hosts import Hosts
from airflow_provider_kling.storage.download_session import checked_session
from tests.hostile import hostile

HEAD = b"HTTP/1.1 200 OK\r\n"
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(100)


def own(server):
    return Hosts(frozenset({("127.0.0.1", server.port)}))


@pytest.mark.attack("A file comes at a byte a moment", "given up: 64 KiB in each timeout, or broken off")
def test_a_file_that_trickles_in_is_given_up(fetch):
    """With its length told or not, and in chunks: all at the same time."""
    starts = [
        HEAD + b"Content-Length: 100000\r\n\r\n" + MP4,
        HEAD + b"\r\n" + MP4,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFF\r\n" + MP4,
    ]
    ended = {}

    def end(server, number):
        begun = time.monotonic()
        with pytest.raises(KlingDownloadError) as caught:
            fetch(link=f"{server.url}/{number}.mp4", hosts=own(server), timeout=0.3)
        ended[number] = str(caught.value), time.monotonic() - begun

    with ExitStack() as servers:
        threads = []
        for number, start in enumerate(starts):
            server = servers.enter_context(hostile(start, *[b"X"] * 10_000, every=0.02))
            threads.append(Thread(target=end, args=(server, number)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ended) == len(starts)
    for told, seconds in ended.values():
        assert "less than 64 KiB came within 0.3 s" in told
        assert "not lost" in told
        assert seconds < 20


def test_a_file_that_is_slow_and_fast_enough_arrives(host, fetch, film):
    class Pausing(bytes):
        def __getitem__(self, part):
            time.sleep(0.4)
            return bytes(self)[part]

    host.body = Pausing(film)
    assert Path(fetch(timeout=1).path).read_bytes() == film


@pytest.mark.attack("A file comes a few bytes at each attempt, for ever", "given up after four without 64 KiB more")
def test_a_file_of_a_few_bytes_at_each_attempt_is_given_up(host, fetch, film):
    host.cuts = [20 * number for number in range(1, 1000)]
    with pytest.raises(KlingDownloadError, match="broke off after"):
        fetch()
    assert len(host.asked) < 8


LENGTHS = [b"\xb2", b"-5", b"1e3", b"9" * 5000, b"9" * 17, b"0x10", b" 5 ", b""]
RANGES = [
    b"bytes \xb2-5/9",
    b"bytes 8-5/" + b"9" * 5000,
    b"bytes " + b"9" * 5000 + b"-1/2",
    b"bytes -1-5/*",
    b"bits 100-200/300",
    b"",
]
LOCATIONS = [
    b"http://[::1",
    b"//[",
    b"http://[::1]:99999/",
    b"http://a:b:c/",
    b"http://\xff\xfe/",
    b"http://" + b"a" * 70 + b".com/",
    b"http://xn--a.com:70000/",
    b"\x00\x01\x7f",
    b"http://8.8.8.8\\@127.0.0.1/",
    b"javascript:alert(1)",
    b"http://127.0.0.1:22/",
    b"http://printer.local/",
]


@pytest.mark.attack("A file's length, range or redirect is no number or no address", "KlingDownloadError")
@pytest.mark.parametrize(
    "head",
    [
        *(HEAD + b"Content-Length: %s\r\n\r\n<html>" % length for length in LENGTHS),
        *(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % place for place in LOCATIONS),
        b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-1/2\r\n\r\nab",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 304 Same\r\n\r\n",
    ],
    ids=lambda head: repr(head[:70]),
)
def test_a_strange_head_is_an_error_of_the_tree(fetch, tmp_path, head):
    with hostile(head) as server, pytest.raises(KlingDownloadError):
        fetch(link=f"{server.url}/film.mp4", hosts=own(server), timeout=2)
    assert not [file for file in tmp_path.iterdir() if file.suffix != ".part"]


@pytest.mark.parametrize("range_", RANGES, ids=lambda range_: repr(range_[:40]))
def test_a_rest_that_does_not_say_which_it_is_is_not_taken_for_the_rest(fetch, range_, film):
    """The first answer breaks off in the middle; the second says anything; the third is the whole."""
    whole = HEAD + b'ETag: "v1"\r\nContent-Length: %d\r\n\r\n' % len(film)
    answers = iter(
        [
            whole + film[: len(film) // 2],
            b"HTTP/1.1 206 Partial\r\nContent-Range: %s\r\n\r\n%s" % (range_, film[:100]),
            whole + film,
        ]
    )
    with hostile(lambda _: next(answers)) as server:
        part = fetch(link=f"{server.url}/film.mp4", hosts=own(server))
    assert Path(part.path).read_bytes() == film


@pytest.mark.attack("The link of a result is none", "KlingDownloadError")
@pytest.mark.parametrize(
    "link",
    ["http://[::1", "http://a:99999/", "\x00", "", "http://\ud800/", "http://\uff0f.com", "mailto:x", "http:///x"],
)
def test_a_link_that_is_none_is_refused(fetch, link):
    with pytest.raises(KlingDownloadRefusedError) as caught:
        fetch(link=link)
    str(caught.value).encode()


@pytest.mark.attack("A file comes compressed, written out to more than max_bytes", "refused, nothing is decompressed")
@pytest.mark.parametrize("encoding", ["gzip", "br", "x-unknown"])
def test_a_compressed_file_is_refused(fetch, encoding, seen):
    refused = pytest.raises(KlingDownloadError, match=f"compressed as '{encoding}'")
    with hostile(HEAD + f"Content-Encoding: {encoding}\r\n\r\n".encode() + MP4) as server, refused as caught:
        fetch(link=f"{server.url}/film.mp4", hosts=own(server))
    seen(caught.value)


@pytest.fixture
def resolve(monkeypatch):
    """Return a function that gives a name addresses, one list for each time it is looked up."""
    known = {}
    real = socket.getaddrinfo

    def look_up(host, port, *args, **kwargs):
        name = host.decode() if isinstance(host, bytes) else host
        if name not in known:
            return real(host, port, *args, **kwargs)
        answers = known[name]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return lambda name, *answers: known.update({name: list(answers)})


@pytest.mark.attack("A name has a public address when it is checked and a private one then", "no connection is opened")
@pytest.mark.parametrize("answers", [[["127.0.0.1"]], [["8.8.8.8", "127.0.0.1"]], [["127.0.0.1"], ["8.8.8.8"]]])
def test_a_name_with_a_private_address_is_not_even_connected_to(resolve, answers, seen):
    resolve("rebound.example.com", *answers)
    with hostile(HEAD + b"\r\n" + MP4) as server, checked_session(Hosts()) as session:
        with pytest.raises(KlingDownloadRefusedError, match="no public address") as caught:
            session.get(f"http://rebound.example.com:{server.port}/film.mp4", timeout=1)
        seen(caught.value)
        time.sleep(0.1)
    assert server.connections == 0


@pytest.mark.attack("A name changes its address between check and connection", "the checked address is connected to")
def test_a_name_is_looked_up_once_for_each_connection(host, begin, fetch, resolve, film):
    """The second look-up would lead to nobody; of the first's addresses the one that answers is taken."""
    port = int(host.url.rpartition(":")[2])
    resolve("files.example.com", ["127.0.0.3", "127.0.0.1"], ["127.0.0.4"])
    part = fetch(
        link=f"http://files.example.com:{port}/film.mp4", hosts=Hosts(frozenset({("files.example.com", port)}))
    )
    assert Path(part.path).read_bytes() == film
    assert host.headers[0]["host"] == f"files.example.com:{port}"


@pytest.fixture
def tls(tmp_path, monkeypatch):
    """Yield the port of a server with a certificate for files.example.com, and the names that it was asked for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "files.example.com")])
    now = datetime.now(tz=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("files.example.com")]), critical=False)
        .sign(key, SHA256())
    )
    pem = tmp_path / "certificate.pem"
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(key.private_bytes(*form) + certificate.public_bytes(Encoding.PEM))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    asked = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.sni_callback = lambda _, name, __: asked.append(name)

    def serve():
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                    secured.recv(65536)
                    secured.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(MP4) + MP4)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], asked


@pytest.mark.attack("A name leads to a server that has no certificate for it", "TLS asks for the name, and checks it")
def test_tls_asks_for_the_name_and_not_for_the_address_that_was_checked(fetch, resolve, tls):
    port, asked = tls
    resolve("files.example.com", ["127.0.0.1"])
    resolve("other.example.com", ["127.0.0.1"])
    hosts = Hosts(frozenset({("files.example.com", port), ("other.example.com", port)}))
    part = fetch(link=f"https://files.example.com:{port}/film.mp4", hosts=hosts)
    assert Path(part.path).read_bytes() == MP4
    with checked_session(hosts) as session, pytest.raises(requests.exceptions.SSLError):
        session.get(f"https://other.example.com:{port}/film.mp4", timeout=2)
    assert asked == ["files.example.com", "other.example.com"]


def test_a_name_that_cannot_be_found_may_be_found_later(fetch):
    with pytest.raises(KlingDownloadError, match="could not be fetched") as caught:
        fetch(link="https://no-such-host.invalid/x?sig=secret")
    assert caught.value.retryable
    assert "secret" not in str(caught.value)


@pytest.mark.attack("A link names a host that only the proxy can reach", "refused where its name is no public one")
@pytest.mark.parametrize("link", ["http://intranet/a.mp4", "http://db.corp.internal/a.mp4", "http://0x7f.1/a.mp4"])
def test_a_proxy_is_not_asked_for_a_name_inside_its_network(fetch, monkeypatch, link):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with hostile(HEAD + b"\r\n" + MP4) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with pytest.raises(KlingDownloadRefusedError):
            fetch(link=link)
        assert proxy.connections == 0
        part = fetch(link="http://no-such-host.invalid/a.mp4")
    assert proxy.asked[0].startswith(b"GET http://no-such-host.invalid/a.mp4 ")
    assert Path(part.path).read_bytes() == MP4
