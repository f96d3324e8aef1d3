"""The newest overlay as JPEG, encoded once for all clients, and not at all if there is none."""

import contextlib
import io
import threading
from collections.abc import Iterator

from PIL import Image, ImageDraw

from segfast_edge.errors import printable
from targets.runner.frames import Notice, Result
from targets.runner.outputs._painting import painted

MAX_WIDTH = 960
QUALITY = 80


class Feed:
    """Holds the newest result or notice and gives each viewer its JPEG once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._encoding = threading.Lock()
        self._newest: Result | Notice | None = None
        self._version = 0
        self._encoded: tuple[int, bytes] = (0, b"")
        self._size = (360, 640)
        self._closed = False
        self._viewers = 0

    @property
    def watched(self) -> bool:
        """Whether anybody is looking."""
        return self._viewers > 0

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Count a viewer while the block runs; frames come to the feed from the next one on."""
        with self._changed:
            self._viewers += 1
        try:
            yield
        finally:
            with self._changed:
                self._viewers -= 1

    def put(self, item: Result | Notice) -> None:
        """Take in what is newest; a result whose frame nobody wanted only ends what was shown before."""
        with self._changed:
            self._newest = None if isinstance(item, Result) and item.picture is None else item
            self._version += 1
            self._changed.notify_all()

    def next(self, after: int, timeout_s: float) -> tuple[int, bytes] | None:
        """Return the newest version after ``after`` and its JPEG, waiting for one; None after ``timeout_s``."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._shows_more_than(after), timeout_s)
            if self._newest is None or self._version <= after:
                return None
            version, newest = self._version, self._newest
        with self._encoding:
            if self._encoded[0] < version:
                self._encoded = (version, self._jpeg(newest))
            return self._encoded

    def _shows_more_than(self, version: int) -> bool:
        return self._newest is not None and self._version > version

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        return self._closed

    def close(self) -> None:
        """End every wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _jpeg(self, item: Result | Notice) -> bytes:
        if isinstance(item, Result):
            pixels = painted(item, MAX_WIDTH)
            self._size = pixels.shape[0], pixels.shape[1]
            picture = Image.fromarray(pixels)
        else:
            picture = _no_result(self._size, item)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=QUALITY)
        return stream.getvalue()


def _no_result(size: tuple[int, int], notice: Notice) -> Image.Image:
    height, width = size
    picture = Image.new("RGB", (width, height), (46, 12, 16))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, width - 1, height - 1), outline=(220, 60, 60), width=4)
    what = "NO RESULT" if notice.state == "no_result" else "NO FRAMES"
    # the built-in font knows Latin-1 only
    reason = printable(notice.reason).encode("latin-1", "replace").decode("latin-1")[:100]
    pen.multiline_text((20, height // 2 - 20), f"{what}\n{reason}", fill=(255, 210, 205), spacing=8)
    return picture
