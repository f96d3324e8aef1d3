"""A folder of pictures in which no run overwrites another's, and which does not grow without end."""

import re
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segfast_edge.contract.shared.images import write_picture
from segfast_edge.errors import DataError
from targets.runner.frames import Result
from targets.runner.output_thread import Output
from targets.runner.outputs._options import options_of, whole_number

_RUN = re.compile(r"run(\d{4,})-.")


class PictureFolder:
    """Writes pictures named ``NAME`` + ``suffix``, whole or not at all.

    If an earlier run left pictures there, each name begins with ``run0002-`` or the next number, so that those of two
    drives neither overwrite each other nor mix. With ``keep`` above 0 only that many stay, whichever run they are of.
    """

    def __init__(self, argument: str, kind: str, suffix: str, base: Path) -> None:
        path, option = options_of(argument, {"keep"}, f"{kind}:DIR")
        if not path:
            raise DataError(f"output '{kind}:' needs a folder, for example {kind}:out or {kind}:out,keep=1000")
        self._keep = whole_number(option, "keep", f"{kind}:DIR") or 0
        self._folder = base / path
        self._suffix = suffix
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            earlier = sorted(self._earlier())
        except OSError as error:
            raise DataError(f"cannot write {self._folder}: {error.strerror or error}") from error
        self._prefix = f"run{earlier[-1][0] + 1:04d}-" if earlier else ""
        self._written = deque(path for _, _, path in earlier)

    def _earlier(self) -> list[tuple[int, int, Path]]:
        """Return the pictures of earlier runs, each with its run and its time, which order them."""
        found = []
        for path in self._folder.iterdir():
            if path.name.endswith(self._suffix) and not path.name.startswith("."):
                run = _RUN.match(path.name)
                found.append((int(run[1]) if run else 1, path.stat().st_mtime_ns, path))
        return found

    def write(self, name: str, number: int, pixels: npt.NDArray[np.uint8]) -> None:
        """Write one picture; ``number`` tells frames of the same name apart. DataError if it cannot be written now."""
        path = self._folder / f"{self._prefix}{name}{self._suffix}"
        if path.exists():  # a folder that is read again, or a.png beside a.jpg
            path = self._folder / f"{self._prefix}{name}-{number}{self._suffix}"
        write_picture(path, pixels)
        self._written.append(path)
        while self._keep and len(self._written) > self._keep:
            self._written.popleft().unlink(missing_ok=True)


class Pictures(Output):
    """Writes a picture of each result; with no result there is no picture."""

    wants_frame = False

    def __init__(
        self, folder: PictureFolder, paint: Callable[[Result], npt.NDArray[np.uint8]], *, wants_frame: bool = False
    ) -> None:
        self._folder = folder
        self._paint = paint
        self.wants_frame = wants_frame

    def write(self, result: Result) -> None:
        """Write a result's picture."""
        self._folder.write(result.name, result.number, self._paint(result))
