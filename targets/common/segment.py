"""The run loop: pictures in, masks and raw outputs out."""

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.masks import RawOutput, labels_of, mask_at
from segfast_edge.contract.overlay import VIEWS, view
from segfast_edge.contract.shared.files import replacing_file
from segfast_edge.contract.shared.images import Frame, Labels, read_frame, write_picture
from segfast_edge.errors import TargetError, unknown
from targets.common.session import CheckedSession


@dataclass(frozen=True, slots=True)
class Segmented:
    """One frame, the network's raw output for it, and its labels at the network's size."""

    frame: Frame
    raw: RawOutput
    labels: Labels
    manifest: Manifest


def network_input(frame: Frame, manifest: Manifest) -> Frame:
    """Bring a frame of any size to the network's input, uint8 [1, H, W, 3]."""
    return manifest.preprocess.image(frame)[np.newaxis]


def mask_of(raw: RawOutput, manifest: Manifest, frame: Frame) -> Labels:
    """Return the mask at the frame's size of a raw output."""
    return mask_at(labels_of(raw, manifest), frame.shape[:2])


WRITERS = (*VIEWS, "raw")
AHEAD = 2  # pictures that wait for the network


def _write(kind: str, path: Path, result: Segmented) -> Path:
    """Write one of ``WRITERS`` beside ``path``, whole or not at all; return the file."""
    if kind == "raw":
        path = path.with_name(f"{path.name}.npy")
        with replacing_file(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, result.raw, allow_pickle=False)
        return path
    path = path.with_name(f"{path.name}.{kind}.png")
    mask = mask_at(result.labels, result.frame.shape[:2])
    write_picture(path, view(kind, result.frame, mask, result.manifest.classes))
    return path


def parse_outputs(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of what to write."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in WRITERS:
            raise TargetError(unknown("output", name, WRITERS))
    if not names:
        raise TargetError(f"nothing to write; choose from {', '.join(WRITERS)}")
    return names


def segment(session: CheckedSession, frame: Frame) -> Segmented:
    """Run one frame of any size."""
    manifest = session.manifest
    raw = session.run(network_input(frame, manifest))
    return Segmented(frame, raw, labels_of(raw, manifest), manifest)


def run_pictures(
    session: CheckedSession, pictures: Iterable[Path], *, out: Path, outputs: tuple[str, ...], convert: bool = False
) -> Iterator[tuple[Path, list[Path]]]:
    """Segment each picture as it comes and write what was asked; yield it with the files written.

    The next pictures are read and brought to the network's size meanwhile, in a thread of their own.

    Raises:
        DataError: a picture is unreadable or of another mode, or ``out`` is not writable.
    """
    manifest = session.manifest
    for picture, frame, given in _ahead(pictures, manifest, convert=convert):
        raw = session.run(given)
        result = Segmented(frame, raw, labels_of(raw, manifest), manifest)
        yield picture, [_write(name, out / picture.stem, result) for name in outputs]


_Ready = tuple[Path, Frame, Frame]  # a picture's path, its pixels, and the network's input


def _ahead(pictures: Iterable[Path], manifest: Manifest, *, convert: bool) -> Iterator[_Ready]:
    """Give pictures that are ready for the network; at most ``AHEAD`` wait."""
    ready: queue.Queue[_Ready | BaseException | None] = queue.Queue(AHEAD)
    threading.Thread(target=_read, args=(pictures, manifest, convert, ready), name="reading", daemon=True).start()
    while (item := ready.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item


def _read(
    pictures: Iterable[Path], manifest: Manifest, convert: bool, ready: "queue.Queue[_Ready | BaseException | None]"
) -> None:
    try:
        for picture in pictures:
            frame = read_frame(picture, convert=convert)
            ready.put((picture, frame, network_input(frame, manifest)))
        ready.put(None)
    except BaseException as error:  # noqa: BLE001 (raised again where the pictures are taken)
        ready.put(error)
