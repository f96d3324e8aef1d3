"""Labels for frames from a checkpoint or from an exported artifact, behind one interface."""

import contextlib
import functools
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.masks import labels_of
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.device.spawn import outputs
from segfast_edge.errors import ArtifactError, SegfastError, unknown

NamedFrame = tuple[str, Frame]
AVERAGED = ("flip", "scales")


@dataclass(frozen=True, slots=True)
class Predictor:
    """Turns frames of any size into labels at the network's size.

    ``described`` says what it is in a few words, ``protocol`` is the text it was trained under, or empty.
    """

    described: str
    classes: ClassSet
    preprocess: Preprocess
    protocol: str
    _label: Callable[[Iterable[NamedFrame]], Generator[Labels, None, None]]

    @contextlib.contextmanager
    def labels(self, frames: Iterable[NamedFrame]) -> Iterator[Iterator[Labels]]:
        """Give an iterator over uint8 labels, network height x width, in the frames' order.

        Frames are taken as they are needed; a device process that was started for them ends with the block.
        """
        with contextlib.closing(self._label(frames)) as found:
            yield found


def open_predictor(
    path: Path, *, device: str = "auto", target: str = "x86", averaged: tuple[str, ...] = (), threads: int = 0
) -> Predictor:
    """Open a checkpoint file, run by torch on ``device`` in float32, or an artifact folder, run by ``target``'s code.

    ``threads`` are those of an artifact's engine, 0 for all cores.
    ``averaged`` names variants of each frame, ``flip`` and ``scales``, whose probabilities a checkpoint averages.

    Raises:
        ArtifactError: neither is there, or it is damaged.
        SegfastError: an unknown variant, or variants for an artifact.
    """
    for name in averaged:
        if name not in AVERAGED:
            raise SegfastError(unknown("variant", name, AVERAGED))
    if averaged and path.is_dir():
        raise SegfastError("--tta needs a checkpoint: an artifact gives labels, which cannot be averaged")
    if path.is_dir():
        return _artifact(path, target, threads)
    if not path.is_file():
        raise ArtifactError(f"no checkpoint file or artifact folder at {path}")
    from segfast_edge.prediction.checkpoint_predictor import checkpoint_labels  # torch, which an artifact does without

    checkpoint, label = checkpoint_labels(path, device, averaged)
    return Predictor(
        f"checkpoint of {checkpoint.network}" + (f", averaged over {' and '.join(averaged)}" if averaged else ""),
        checkpoint.classes,
        checkpoint.preprocess,
        checkpoint.protocol,
        lambda frames: (label(frame) for _, frame in frames),
    )


def _artifact(path: Path, target: str, threads: int) -> Predictor:
    manifest = Manifest.load(path)
    label = functools.partial(_run, path, manifest, target=target, threads=threads)
    protocol = str(manifest.provenance.get("protocol", ""))
    described = f"{manifest.format} artifact ({manifest.precision})"
    return Predictor(described, manifest.classes, manifest.preprocess, protocol, label)


def _run(
    path: Path, manifest: Manifest, frames: Iterable[NamedFrame], *, target: str, threads: int
) -> Generator[Labels, None, None]:
    with contextlib.closing(outputs(path, frames, target=target, threads=threads)) as found:
        for raw in found:
            yield labels_of(raw, manifest)
