"""What a model wants of the files it is given, as far as that is published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MB = 1024**2
#: The largest file that is uploaded; no Kling model is known to take a larger one.
LARGEST_UPLOAD = 200 * MB


@dataclass(frozen=True, slots=True)
class Media:
    """
    What a file has to be. Annotates a payload's field, next to where the field is described.

    :param kind: what it shows or sounds like; None is any.
    :param extensions: its types, by the extension that each usually has; empty is any of its kind.
    :param largest: its size in bytes, at most.
    :param width: the least and the greatest width in pixels.
    :param seconds: the least and the greatest length. Encoders add a frame or two, so whole seconds count.
    :param source: where the limits were read.
    """

    kind: Literal["image", "video", "audio"] | None = None
    extensions: tuple[str, ...] = ()
    largest: int = LARGEST_UPLOAD
    width: tuple[int, int] | None = None
    seconds: tuple[int, int] | None = None
    source: str = ""

    @property
    def needs_measuring(self) -> bool:
        """Whether the file has to be decoded to tell whether it will do."""
        return self.width is not None or self.seconds is not None

    def __str__(self) -> str:
        words = [
            " or ".join(self.extensions) or self.kind or "image, video or audio",
            f"at most {megabytes(self.largest)}",
        ]
        if self.width:
            words.append(f"{self.width[0]} to {self.width[1]} px wide")
        if self.seconds:
            words.append(f"{self.seconds[0]} to {self.seconds[1]} s")
        return ", ".join(words) + (f" ({self.source})" if self.source else "")


def megabytes(size: int) -> str:
    """Return a size as a person compares it."""
    return f"{size / MB:.3g} MB"


PICTURE = Media("image")
VIDEO = Media("video")
SOUND = Media("audio")
#: The page of kling-3-standard-image2video.
PICTURE_OF_50_MB = Media("image", largest=50 * MB, source="the model's page")
#: Segmind's pages of O3 state the width; the rest stands on those of other services of the same models.
REFERENCE_VIDEO = Media(
    "video",
    extensions=("mp4", "mov"),
    largest=200 * MB,
    width=(720, 2160),
    seconds=(3, 10),
    source="width: the model's page at Segmind; the rest: fal.ai's page of the same model",
)
#: Segmind's pages of O1 state none.
O1_REFERENCE_VIDEO = Media(
    "video",
    extensions=("mp4", "mov"),
    largest=200 * MB,
    width=(720, 2160),
    seconds=(3, 10),
    source="CometAPI's page of the same model; Segmind's states none",
)
