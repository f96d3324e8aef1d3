"""The run loop: pictures in, masks and raw outputs out."""

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

    Raises:
        DataError: a picture is unreadable or of another mode, or ``out`` is not writable.
    """
    for picture in pictures:
        result = segment(session, read_frame(picture, convert=convert))
        yield picture, [_write(name, out / picture.stem, result) for name in outputs]
