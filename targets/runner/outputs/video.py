"""Overlays as a video."""

import io
import re
from collections import deque
from pathlib import Path

from PIL import Image

from segfast_edge.contract.preprocess import MAX_SIDE
from segfast_edge.errors import DataError
from targets.runner.frames import Notice, Result
from targets.runner.output_thread import Output
from targets.runner.outputs import OutputContext
from targets.runner.outputs._avi import AviFile
from targets.runner.outputs._options import options_of, whole_number
from targets.runner.outputs._painting import painted

FORM = "video:FILE.avi[,fps=N][,keep=N] (the mask over the frame, as Motion-JPEG; keep that many files)"
MAX_FILE_BYTES = 1 << 30  # the index of this kind of AVI counts to 4 GB, and many players only to 2
QUALITY = 85
_TAKES = "video:FILE.avi"


def open_output(argument: str, context: OutputContext) -> Output:
    """Check the name and the folder; the file is begun with the first result, which says how large it is."""
    name, options = options_of(argument, {"fps", "keep"}, _TAKES)
    path = context.folder / name
    if path.suffix.lower() != ".avi":
        raise DataError(f"output 'video:{argument}' needs a file that ends in .avi, for example video:drive.avi")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Video(path, _fps(options.get("fps")), whole_number(options, "keep", _TAKES))
    except OSError as error:
        raise DataError(f"cannot write {path.parent}: {error.strerror or error}") from error


def _fps(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        fps = float(value)
    except ValueError:
        fps = 0.0
    if not 0.1 <= fps <= 1000:
        raise DataError(f"output option 'fps={value}' is out of range; {_TAKES} takes fps=N, N from 0.1 to 1000")
    return fps


class Video:
    """Begins a new file when the frames change size or a file is full, numbered after those that are there already.

    Without ``fps`` a file plays at the average rate at which its frames were captured. With ``keep`` only that many
    files stay, whichever run they are of.
    """

    wants_frame = True

    def __init__(self, path: Path, fps: float | None, keep: int | None) -> None:
        self._path = path
        self._fps = fps
        self._keep = keep
        self._file: AviFile | None = None
        self._files = deque(sorted(self._earlier()))

    def _earlier(self) -> list[tuple[int, Path]]:
        """Return the files of earlier runs with their numbers; the one without a number is the first."""
        named = re.compile(rf"{re.escape(self._path.stem)}(?:-(\d+))?{re.escape(self._path.suffix)}")
        found = [(named.fullmatch(path.name), path) for path in self._path.parent.iterdir()]
        return [(int(name[1] or 1), path) for name, path in found if name]

    def write(self, result: Result) -> None:
        """Append the overlay."""
        stream = io.BytesIO()
        Image.fromarray(painted(result, MAX_SIDE)).save(stream, "JPEG", quality=QUALITY)
        size = result.mask.shape[0], result.mask.shape[1]
        full = self._file is not None and self._file.bytes_written + stream.tell() > MAX_FILE_BYTES
        if self._file is None or self._file.size != size or full:
            self.close()
            self._file = AviFile(self._next_path(), size, fps=self._fps)
        self._file.append(stream.getvalue(), result.captured_ns)

    def _next_path(self) -> Path:
        number = self._files[-1][0] + 1 if self._files else 1
        path = self._path
        if number > 1:
            path = path.with_name(f"{path.stem}-{number}{path.suffix}")
        self._files.append((number, path))
        while self._keep and len(self._files) > self._keep:
            self._files.popleft()[1].unlink(missing_ok=True)
        return path

    def notice(self, _: Notice) -> None:
        """Write nothing: a video without new frames stands still."""

    def close(self) -> None:
        """Finish the file that is open."""
        if self._file is not None:
            finished, self._file = self._file, None
            finished.close()
