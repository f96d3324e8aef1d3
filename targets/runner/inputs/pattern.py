"""A drawn road that moves: to try an installation without a camera."""

import re
from collections.abc import Callable

from segfast_edge.contract.preprocess import MAX_SIDE, MIN_SIDE
from segfast_edge.errors import DataError
from targets.runner.decoding import Encoded
from targets.runner.inputs import EndOfInputError, Grab, Input, InputOptions
from targets.runner.inputs._pace import Metronome

FORM = "test:WIDTHxHEIGHT (a drawn test pattern, 30 frames per second or --rate)"
DEFAULT_RATE = 30.0
_PHASES = 24


def matches(text: str) -> bool:
    """Say whether ``text`` asks for the test pattern."""
    return text.startswith("test:")


def open_input(text: str, options: InputOptions) -> "Pattern":
    """Return the test pattern at a size."""
    found = re.fullmatch(r"test:(\d{1,4})x(\d{1,4})", text)
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in (width, height)):
        raise DataError(f"'{text}' is not test:WIDTHxHEIGHT with {MIN_SIDE} to {MAX_SIDE}, for example test:1280x720")
    from targets.runner.inputs._drawing import draw_road, jpeg  # 1.3 MB that no other source needs

    return Pattern(lambda phase: jpeg(draw_road((height, width), phase)), options.rate or DEFAULT_RATE)


class Pattern(Input):
    """JPEG frames drawn when first needed, then repeated."""

    def __init__(self, draw: Callable[[float], bytes], rate: float) -> None:
        self.live = True
        self.camera = False
        self._draw = draw
        self._frames: dict[int, bytes] = {}
        self._metronome = Metronome(rate)
        self._count = 0

    def read(self, _: float, /) -> Grab:
        """Return the next frame when it is due."""
        if not self._metronome.wait():
            raise EndOfInputError
        self._count += 1
        phase = self._count % _PHASES
        if phase not in self._frames:
            self._frames[phase] = self._draw(phase / _PHASES)
        return Grab(f"{self._count:06d}", Encoded(self._frames[phase], "test pattern"))

    def interrupt(self) -> None:
        """End a wait for the next frame."""
        self._metronome.stop()
