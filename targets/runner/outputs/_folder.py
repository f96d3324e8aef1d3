"""A folder of pictures that does not grow without end."""

from collections import deque
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segfast_edge.contract.images import write_picture
from segfast_edge.errors import DataError


class PictureFolder:
    """Writes pictures whole or not at all; with ``keep`` above 0 only that many of the newest stay."""

    def __init__(self, argument: str, kind: str) -> None:
        path, _, option = argument.partition(",")
        if not path:
            raise DataError(f"output '{kind}:' needs a folder, for example {kind}:out or {kind}:out,keep=1000")
        self._keep = _keep(option, kind)
        self._folder = Path(path)
        self._written: deque[Path] = deque()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot write {self._folder}: {error.strerror or error}") from error

    def write(self, name: str, pixels: npt.NDArray[np.uint8]) -> None:
        """Write one picture under ``name``; DataError where that is not possible now."""
        path = self._folder / name
        write_picture(path, pixels)
        if self._keep and (not self._written or self._written[-1] != path):
            self._written.append(path)
            while len(self._written) > self._keep:
                self._written.popleft().unlink(missing_ok=True)


def _keep(option: str, kind: str) -> int:
    if not option:
        return 0
    key, _, value = option.partition("=")
    if key != "keep" or not value.isascii() or not value.isdigit() or int(value) < 1:
        raise DataError(f"output option '{option}' is unknown; {kind}:DIR takes keep=N, N from 1")
    return int(value)
