"""Overlays as a video."""

import io
from pathlib import Path

from PIL import Image

from segfast_edge.contract.preprocess import MAX_SIDE
from segfast_edge.errors import DataError
from targets.runner.frames import Notice, Result
from targets.runner.output_thread import Output
from targets.runner.outputs import OutputContext
from targets.runner.outputs._avi import AviFile
from targets.runner.outputs._painting import painted

FORM = "video:FILE.avi[,fps=N] (the mask over the frame, as Motion-JPEG)"
MAX_FILE_BYTES = 1 << 30  # the index of this kind of AVI counts to 4 GB, and many players only to 2
QUALITY = 85


def open_output(argument: str, _: OutputContext) -> Output:
    """Check the name and the folder; the file is begun with the first result, which says how large it is."""
    name, _comma, option = argument.partition(",")
    path = Path(name)
    if path.suffix.lower() != ".avi":
        raise DataError(f"output 'video:{argument}' needs a file that ends in .avi, for example video:drive.avi")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {path.parent}: {error.strerror or error}") from error
    return Video(path, _fps(option))


def _fps(option: str) -> float | None:
    if not option:
        return None
    key, _, value = option.partition("=")
    try:
        fps = float(value)
    except ValueError:
        fps = 0.0
    if key != "fps" or not 0.1 <= fps <= 1000:
        raise DataError(f"output option '{option}' is unknown; video:FILE.avi takes fps=N, N from 0.1 to 1000")
    return fps


class Video:
    """Begins a new numbered file when the frames change size or a file is full.

    Without ``fps`` a file plays at the average rate at which its frames were captured.
    """

    wants_frame = True

    def __init__(self, path: Path, fps: float | None) -> None:
        self._path = path
        self._fps = fps
        self._file: AviFile | None = None
        self._files = 0

    def write(self, result: Result) -> None:
        """Append the overlay."""
        stream = io.BytesIO()
        Image.fromarray(painted(result, MAX_SIDE)).save(stream, "JPEG", quality=QUALITY)
        size = result.mask.shape[0], result.mask.shape[1]
        full = self._file is not None and self._file.bytes_written + stream.tell() > MAX_FILE_BYTES
        if self._file is None or self._file.size != size or full:
            self.close()
            self._files += 1
            numbered = self._path.with_name(f"{self._path.stem}-{self._files}{self._path.suffix}")
            self._file = AviFile(self._path if self._files == 1 else numbered, size, fps=self._fps)
        self._file.append(stream.getvalue(), result.captured_ns)

    def notice(self, _: Notice) -> None:
        """Write nothing: a video without new frames stands still."""

    def close(self) -> None:
        """Finish the file that is open."""
        if self._file is not None:
            finished, self._file = self._file, None
            finished.close()
