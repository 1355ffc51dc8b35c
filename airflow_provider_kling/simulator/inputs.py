"""The pictures, films and sounds a request points to, really fetched and really opened.

A run fails when one cannot be had, as it does at the real service; a link that only its owner can open shows
here. No key goes along: inputs live on other people's hosts.
"""

from __future__ import annotations

import base64
import binascii
import io
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from PIL import Image, ImageOps

from airflow_provider_kling.simulator.drawing.caption import without_caption
from airflow_provider_kling.simulator.json_body import read_json
from airflow_provider_kling.simulator.open_media import opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_kling.simulator.catalogue import Model

FETCH_SECONDS = 30.0
LARGEST_FILE = 200 * 1024**2
LOOPBACK = ("127.0.0.1", "localhost", "::1")
USER_AGENT = "airflow-provider-kling-simulator"
# What is left alone when a URL is quoted: its own syntax, and escapes that are there already.
URL_SYNTAX = "%/:?#[]@!$&'()*+,;=~"

PICTURES = {
    "start_image_url": "first frame",
    "start_image": "first frame",
    "image_url": "image",
    "image": "image",
    "first_reference_image": "first",
    "second_reference_image": "second",
    "end_image_url": "last frame",
}
# Others are decoded by programs beside Pillow, or by code that hardly anybody runs.
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
LAST_FRAME = "last frame"


class InputError(Exception):
    """An input cannot be fetched, or is not what its parameter says."""


@dataclass(frozen=True)
class Picture:
    """An input picture, under the name a prompt would call it by."""

    label: str
    image: Image.Image
    # As it came, which with one of ours includes the caption.
    size: tuple[int, int]


@dataclass
class Material:
    """What a run has to work with. Films and sounds are files, deleted with the material's folder."""

    pictures: list[Picture] = field(default_factory=list)
    film: Path | None = None
    sound: Path | None = None


def gather(model: Model, inputs: Mapping[str, Any], folder: Path, detail: int) -> Material:
    """Fetch everything the inputs point to, pictures with no less detail than that many pixels each way.

    Raises InputError for the first that will not do.
    """
    material = Material()
    for name, label, source in _sources(inputs):
        parameter = model.parameter(name)
        declared_url = parameter is None or parameter.format == "uri" or parameter.type != "string"
        content = _fetch(name, source, may_be_base64=not declared_url or name == "elements")
        if name in ("video_url", "audio_url"):
            kind = name.removesuffix("_url")
            file = _keep(content, folder)
            _open_stream(name, file, kind)
            if kind == "video":
                material.film = file
            else:
                material.sound = file
        else:
            material.pictures.append(_open_picture(name, label, content, detail))
    return material


def _sources(inputs: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """List what to fetch: parameter, label, URL."""
    for name, label in PICTURES.items():
        if inputs.get(name) is not None:
            yield name, label, str(inputs[name])
    urls = inputs.get("image_urls")
    for number, url in enumerate(urls if isinstance(urls, list) else (), start=1):
        yield "image_urls", f"@Image{number}", str(url)
    for number, element in enumerate(_elements(inputs.get("elements")), start=1):
        views = [element.get("frontal_image_url"), *(element.get("reference_image_urls") or ())]
        for url in filter(None, views):
            yield "elements", f"@Element{number}", str(url)
    for name in ("video_url", "audio_url"):
        if inputs.get(name) is not None:
            yield name, "@Video1", str(inputs[name])


def _elements(given: Any) -> list[dict[str, Any]]:
    """Read elements as a list of objects or as the JSON text of one: O1 pages leave open which is meant."""
    if isinstance(given, str):
        try:
            given = read_json(given)
        except ValueError:
            raise InputError("elements is not a list of elements") from None
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(element, dict) for element in given):
        raise InputError("elements is not a list of elements")
    return given


def _fetch(name: str, source: str, *, may_be_base64: bool) -> bytes:
    if source.startswith("data:") or (may_be_base64 and not source.startswith(("http://", "https://"))):
        try:
            return base64.b64decode(source.rpartition(",")[2], validate=True)
        except binascii.Error:
            raise InputError(f"{name} is neither a URL nor base64") from None
    if not source.startswith(("http://", "https://")):
        raise InputError(f"{name} is not a URL: {source!r}")
    url = urllib.parse.quote(source, safe=URL_SYNTAX)
    handlers = [urllib.request.ProxyHandler({})] if urllib.parse.urlsplit(url).hostname in LOOPBACK else []
    opener = urllib.request.build_opener(*handlers)
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT})  # noqa: S310  http(s) only, see above
    try:
        with opener.open(request, timeout=FETCH_SECONDS) as response:
            content: bytes = response.read(LARGEST_FILE + 1)
    except urllib.error.HTTPError as error:
        raise InputError(f"{name} could not be fetched: {source} answered {error.code}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{name} could not be fetched: {source}: {error}") from None
    if len(content) > LARGEST_FILE:
        raise InputError(f"{name} is larger than {LARGEST_FILE // 1024**2} MB")
    return content


def _open_picture(name: str, label: str, content: bytes, detail: int) -> Picture:
    try:
        whole = ImageOps.exif_transpose(Image.open(io.BytesIO(content), formats=PICTURE_FORMATS))
        image = without_caption(whole).convert("RGB")
        return Picture(label, image.reduce(max(1, max(image.size) // detail)), whole.size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise InputError(f"{name} is not an image") from None


def _open_stream(name: str, file: Path, kind: str) -> None:
    try:
        with opened(file) as container:
            # One frame is decoded: a header alone does not make a film.
            stream = next((stream for stream in container.streams if stream.type == kind), None)
            if stream is None or next(iter(container.decode(stream)), None) is None:
                raise InputError(f"{name} has no {kind} in it")
    except (av.FFmpegError, OSError, ValueError):
        raise InputError(f"{name} is not a {kind}") from None


def _keep(content: bytes, folder: Path) -> Path:
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(content)
    return Path(file.name)
