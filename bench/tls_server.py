"""A Segmind that answers "still running" over TLS and counts: polls, connections. Run as a process of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

RUNNING = '{{"status": "PROCESSING", "request_id": "{}", "metrics": {{}}}}'
#: The same of dbt Cloud.
DBT_RUNNING = json.dumps({"status": {"code": 200}, "data": {"id": 1, "status": 3}}).encode()


def certificate(folder: Path) -> Path:
    """Write a certificate for this machine, and its key, into a folder; return the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now = datetime.now(tz=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "bench.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "bench.key").write_bytes(secret)
    return file


async def serve(folder: Path) -> None:
    """Serve until the standard input ends; print the port. `/counts` tells what was counted, and is not."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "bench.pem", folder / "bench.key")
    polls, connections = 0, 0

    async def answer(request: web.BaseRequest) -> web.Response:
        nonlocal polls
        if request.path == "/counts":
            return web.json_response({"polls": polls, "connections": connections})
        polls += 1
        if request.path.startswith("/api/"):
            return web.Response(body=DBT_RUNNING, content_type="application/json")
        asked = request.path.removeprefix("/v2/requests/").partition("/")[0]
        return web.Response(body=RUNNING.format(asked).encode(), content_type="application/json")

    handlers = web.Server(answer)

    def connect() -> asyncio.Protocol:
        nonlocal connections
        connections += 1
        return handlers()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connect, "127.0.0.1", 0, ssl=context, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
