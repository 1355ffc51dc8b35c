"""A file of half a gigabyte, made while it is sent, is kept in the memory of a small one."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FETCH = """
import logging, resource, sys
from fsspec.implementations.local import LocalFileSystem
from airflow_provider_kling.storage.download import Download
from airflow_provider_kling.storage.download_hosts import Hosts
from airflow_provider_kling.media.measure import shape
from airflow_provider_kling.storage.partial_file import Part

def fetch(link, folder):
    part, _ = Download(
        link, lambda version: Part.begin(LocalFileSystem(), folder, "whose", version), kind="video",
        hosts=Hosts(frozenset({("127.0.0.1", int(sys.argv[1]))})), timeout=30, max_bytes=2**32, log=logging.getLogger(),
    ).run()
    with open(part.path, "rb") as file:
        assert shape(file).width
    part.discard()
    return part.size

url = f"http://127.0.0.1:{sys.argv[1]}"
small = fetch(f"{url}/small.mp4", sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
large = fetch(f"{url}/large.mp4", sys.argv[2])
print("GREW", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, small, large)
"""
LARGE = 512 * 1024**2


class _Handler(BaseHTTPRequestHandler):
    film: bytes

    def log_message(self, *args):
        pass

    def do_GET(self):
        """Serve a film, or one with nothing behind it up to half a gigabyte, as its format allows."""
        padding = LARGE - len(self.film) if "large" in self.path else 0
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.film) + padding))
        self.end_headers()
        self.wfile.write(self.film)
        if padding:
            self.wfile.write((1).to_bytes(4, "big") + b"free" + padding.to_bytes(8, "big"))
            padding -= 16
        nothing = bytes(1024**2)
        while padding:
            padding -= self.connection.send(memoryview(nothing)[:padding])


def test_half_a_gigabyte_needs_no_more_memory_than_three_megabytes(film, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"film": film}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = subprocess.run(  # noqa: S603 own code
            [sys.executable, "-c", FETCH, str(server.server_port), str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    grew, small, large = (int(word) for word in done.stdout.split()[1:])
    assert (small, large) == (len(film), LARGE)
    assert grew < 16 * 1024  # kilobytes
