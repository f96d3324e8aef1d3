"""A folder of pictures, or one picture."""

from pathlib import Path

from segfast_edge.contract.shared.images import IMAGE_SUFFIXES, list_pictures
from segfast_edge.errors import DataError, printable
from targets.runner.decoding import Encoded
from targets.runner.frames import Broken
from targets.runner.inputs import EndOfInputError, Grab, Input, InputOptions
from targets.runner.inputs._pace import Metronome

FORM = "a picture or a folder of pictures"
MAX_FILE_BYTES = 256 << 20


def matches(text: str) -> bool:
    """Say whether ``text`` is a folder or has a picture's suffix."""
    return "://" not in text and (Path(text).is_dir() or Path(text).suffix.lower() in IMAGE_SUFFIXES)


def open_input(text: str, options: InputOptions) -> "Pictures":
    """Return the pictures in a folder, by name, or the one picture."""
    path = Path(text)
    if not path.exists():
        raise DataError(f"no such picture: {path}")
    return Pictures(list_pictures(path) if path.is_dir() else [path], options)


class Pictures(Input):
    """Picture files in order; every one is processed unless a rate makes them a camera."""

    def __init__(self, paths: list[Path], options: InputOptions) -> None:
        self.live = options.rate is not None
        self.camera = False
        self._paths = paths
        self._options = options
        self._metronome = Metronome(options.rate)
        self._index = 0

    def read(self, _: float, /) -> Grab:
        """Return the next picture's bytes; one that cannot be read is a broken frame, not the end."""
        if self._index == len(self._paths):
            if not self._options.repeat:
                raise EndOfInputError
            self._index = 0
        if not self._metronome.wait():
            raise EndOfInputError
        path = self._paths[self._index]
        self._index += 1
        name = printable(path.stem)  # which goes into lines, pages and names of files
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                return Grab(name, Broken(f"{path} has over {MAX_FILE_BYTES} bytes"))
            data = path.read_bytes()
        except OSError as error:
            return Grab(name, Broken(f"{path} cannot be read: {error.strerror or error}"))
        return Grab(name, Encoded(data, str(path), self._options.rules))

    def interrupt(self) -> None:
        """End a wait for the next tick."""
        self._metronome.stop()
