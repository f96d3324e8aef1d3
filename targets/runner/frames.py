"""The data that passes through the runner: packets as captured, frames as decoded, results as delivered."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.errors import DataError

Size = tuple[int, int]  # height, width


def now_ns() -> int:
    """Return the one clock of the runner: monotonic, so that no change of the date can move it."""
    return time.monotonic_ns()


class Payload(Protocol):
    """A frame as its source gives it, not yet decoded."""

    def decode(self, at_least: Size | None, /) -> tuple[Image.Image, Size]:
        """Return the frame as a Pillow picture of mode RGB, and its own size.

        Where the format can be decoded at a reduced scale, the picture may be smaller than the frame, but never
        smaller than ``at_least`` on either side; None asks for all of them.

        Raises:
            DataError: the frame is damaged or of a kind that is refused.
        """
        ...


@dataclass(frozen=True, slots=True)
class Pixels:
    """A frame that needs no decoding."""

    frame: Frame

    def decode(self, _: Size | None, /) -> tuple[Image.Image, Size]:
        """Return the pixels as they are."""
        return Image.fromarray(self.frame), (self.frame.shape[0], self.frame.shape[1])


@dataclass(frozen=True, slots=True)
class Broken:
    """A frame that its source already knows to be damaged, kept so that it is counted."""

    reason: str

    def decode(self, _: Size | None, /) -> tuple[Image.Image, Size]:
        """Raise DataError with the reason."""
        raise DataError(self.reason)


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame as captured; ``captured_ns`` is when its last byte was here."""

    number: int
    name: str
    captured_ns: int
    payload: Payload


@dataclass(frozen=True, slots=True)
class Decoded:
    """One frame ready for the network; ``exact`` is the batch from a full decode if both are to be compared.

    ``doubt`` is what makes its picture doubtful, "" for nothing.

    The packet is not kept, nor the picture if no output shows it: at 1280x720 each would be 3 or 4 MB, several at a
    time.
    """

    number: int
    name: str
    captured_ns: int
    picture: Image.Image | None
    size: Size
    batch: Frame
    exact: Frame | None
    doubt: str
    timings_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Result:
    """One frame's answer: ``labels`` at the network's size, ``mask`` at the frame's, both uint8 height x width.

    ``picture`` is the decoded frame, mode RGB, possibly at a reduced scale; None if no output shows it.
    ``timings_ms`` has a figure per stage. ``doubt`` is what makes the picture doubtful, "" for nothing; see trust.py.
    """

    number: int
    name: str
    captured_ns: int
    finished_ns: int
    picture: Image.Image | None
    labels: Labels
    mask: Labels
    classes: ClassSet
    timings_ms: Mapping[str, float]
    deadline_ms: float
    doubt: str = ""

    @property
    def latency_ms(self) -> float:
        """Work done on this frame: the sum of its stages, waiting left out."""
        return sum(self.timings_ms.values())

    @property
    def age_ms(self) -> float:
        """How old the frame was when its mask was ready, waiting included."""
        return (self.finished_ns - self.captured_ns) / 1e6

    @property
    def late(self) -> bool:
        """Whether the mask came after its deadline."""
        return self.age_ms > self.deadline_ms


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice to every consumer that there is no valid result: the state's name and the reason."""

    state: str
    reason: str
    at_ns: int
