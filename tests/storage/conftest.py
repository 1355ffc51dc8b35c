"""A host that serves one file over a real socket, and breaks off, lies or leads elsewhere on order."""

from __future__ import annotations

import io
import logging
import random
import re
import socket
import struct
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import av
import pytest
from fsspec.implementations.local import LocalFileSystem
from PIL import Image

from airflow_provider_kling.storage.download import Download
from airflow_provider_kling.storage.download_hosts import Hosts
from airflow_provider_kling.storage.partial_file import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class FileHost:
    """What the host serves, what goes wrong with it, and what it was asked."""

    body: bytes = b""
    etag: str | None = '"v1"'
    ranges: bool = True
    #: Bytes of the file after which the connection breaks, each once.
    cuts: list[int] = field(default_factory=list)
    #: Whether a break is a reset, which loses what was on its way, and not an early end.
    resets: bool = False
    #: Answers given first: status and headers.
    first: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    announced: int | None = None
    #: After how many bytes each answer waits for ``go``.
    holds_at: int | None = None
    go: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    #: The Range of each request for the file, or None.
    asked: list[str | None] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0

    @property
    def link(self) -> str:
        return f"{self.url}/generations/film.mp4"

    @property
    def hosts(self) -> Hosts:
        return Hosts(frozenset({("127.0.0.1", urlsplit(self.url).port or 0)}))


class _Handler(BaseHTTPRequestHandler):
    host: FileHost

    def log_message(self, *args):
        pass

    def do_GET(self):
        host = self.host
        host.headers.append({name.lower(): value for name, value in self.headers.items()})
        host.asked.append(self.headers.get("Range"))
        if host.first:
            status, headers = host.first.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        begin = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and host.ranges and self.headers.get("If-Range") in {None, host.etag}:
            begin = int(wanted[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(host.body) - 1}/{len(host.body)}")
        else:
            self.send_response(200)
        if host.etag:
            self.send_header("ETag", host.etag)
        self.send_header("Content-Length", str((host.announced or len(host.body)) - begin))
        self.end_headers()
        end = next((cut for cut in host.cuts if cut > begin), None)
        if end is not None:
            host.cuts.remove(end)
        if host.holds_at is not None and begin < host.holds_at:
            self.wfile.write(host.body[begin : host.holds_at])
            begin = host.holds_at
            host.go.wait(180)
        self.wfile.write(host.body[begin:end])
        host.sent += len(host.body[begin:end])
        if end is not None or host.announced:
            self.close_connection = True
            if host.resets:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextmanager
def serving(host: FileHost) -> Iterator[FileHost]:
    """Serve until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"host": host}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    host.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()


def make_film(seconds: int = 2, size: int = 256) -> bytes:
    """Return an MP4 of noise, which cannot be made small."""
    file, noise = io.BytesIO(), random.Random(1)  # noqa: S311 noise
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast", "crf": "10"})
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for _ in range(24 * seconds):
            picture = Image.frombytes("RGB", (size, size), noise.randbytes(3 * size * size))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return file.getvalue()


@pytest.fixture(scope="session")
def film() -> bytes:
    """Return a real film of some megabytes."""
    return make_film()


@pytest.fixture
def host(film: bytes) -> Iterator[FileHost]:
    """Yield a host that serves the film."""
    with serving(FileHost(film)) as host:
        yield host


@pytest.fixture
def begin(tmp_path) -> Callable[[str], Part]:
    """Return what opens a part in the test's own folder."""
    return lambda version: Part.begin(LocalFileSystem(), str(tmp_path), "whose", version)


@pytest.fixture
def fetch(host: FileHost, begin) -> Callable[..., Part]:
    """Return a function that fetches the host's file into the test's own folder."""

    def run(**changes) -> Part:
        settings = {"kind": "video", "hosts": host.hosts, "timeout": 5, "max_bytes": 10**8, **changes}
        link = settings.pop("link", host.link)
        part, _ = Download(link, begin, log=logging.getLogger("test"), **settings).run()
        return part

    return run
