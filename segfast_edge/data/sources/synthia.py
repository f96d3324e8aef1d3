"""SYNTHIA: RAND-CITYSCAPES (22 classes), the sequences SEQS (13) and RAND-CVPR16 (12), told apart by their folders."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from segfast_edge.contract.shared.images import Labels
from segfast_edge.data.label_files import LabelFiles, Values, translated
from segfast_edge.data.pairs import (
    LabelMap,
    LabelReader,
    Listing,
    PairedSource,
    divided,
    existing_root,
    files_below,
    files_in,
    match,
)
from segfast_edge.data.png16 import first_channel
from segfast_edge.data.splits import divided_by_folder
from segfast_edge.data.synthia_classes import CITYSCAPES, CVPR16, SEQS, cvpr16_coding, ids, sequence_ids
from segfast_edge.errors import DataError, unknown

LAYOUT = "RGB/*.png and GT/LABELS/*.png, or the folders of the sequences or of RAND-CVPR16"
OPTIONS = ("labels",)
SIZE, CVPR16_SIZE = (760, 1280), (720, 960)
CAMERAS = "Stereo_*"


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open the folder that holds ``RGB`` and ``GT``, or the folders of several sequences.

    No release has splits: a fifth by name becomes val, of several sequences a fifth of them. Option ``labels`` is png
    or txt for RAND-CVPR16, which has labels as colours in ``GT`` and as numbers in ``GTTXT``.
    """
    root = existing_root(root, "synthia", LAYOUT)
    sequences = [folder for folder in (root, *sorted(root.glob("SYNTHIA-SEQS-*"))) if _has_cameras(folder)]
    if sequences:
        _no_choice(options)
        listings: dict[str, Callable[[], Listing]] = {s.name: functools.partial(_sequence, s, root) for s in sequences}
        whole = divided(listings[root.name]) if root in sequences else divided_by_folder(listings)
        return PairedSource("synthia", SEQS, SIZE, whole, LabelMap(sequence_ids(), first_channel), convert=True)
    if not (root / "RGB").is_dir():
        raise DataError(f"{root} is not SYNTHIA: no folder RGB; expected {LAYOUT}")
    if (root / "GT/LABELS").is_dir():
        _no_choice(options)
        reader: LabelReader = LabelMap(ids(CITYSCAPES), first_channel)
        pairs = divided(functools.partial(_listing, root, "GT/LABELS", ".png"))
        return PairedSource("synthia", CITYSCAPES, SIZE, pairs, reader, convert=True)
    folder, end, reader = _cvpr16(root, options)
    pairs = divided(functools.partial(_listing, root, folder, end))
    return PairedSource("synthia", CVPR16, CVPR16_SIZE, pairs, reader, convert=True)


def _no_choice(options: Mapping[str, str]) -> None:
    if "labels" in options:
        raise DataError("synthia option labels is for RAND-CVPR16, which has two kinds; this is another release")


def _has_cameras(folder: Path) -> bool:
    return any(folder.glob(f"RGB/{CAMERAS}")) and (folder / "GT/LABELS").is_dir()


def _sequence(folder: Path, root: Path) -> Listing:
    before = "" if folder == root else f"{folder.name}/"
    images, labels = (files_below(folder / part, (".png",)) for part in ("RGB", "GT/LABELS"))
    return match([(before + name, path) for name, path in images], [(before + name, path) for name, path in labels])


def _listing(root: Path, folder: str, end: str) -> Listing:
    return match(files_in(root / "RGB", (".png",)), files_in(root / folder, (end,)))


def _cvpr16(root: Path, options: Mapping[str, str]) -> tuple[str, str, LabelReader]:
    """Return where labels are, how their names end and what reads them: the pictures if there are any."""
    kind = options.get("labels") or ("png" if any((root / "GT").glob("*.png")) else "txt")
    kinds: dict[str, tuple[str, str, LabelReader]] = {
        "png": ("GT", ".png", LabelFiles(cvpr16_coding())),
        "txt": ("GTTXT", ".txt", _Numbers()),
    }
    if kind not in kinds:
        raise DataError(unknown("kind of SYNTHIA labels", kind, kinds))
    if not (root / kinds[kind][0]).is_dir():
        raise DataError(f"{root} is not SYNTHIA: no folder {kinds[kind][0]} beside RGB; expected {LAYOUT}")
    return kinds[kind]


class _Numbers:
    """Reads labels as text, one line of numbers for each row of pixels."""

    def read(self, path: Path) -> Labels:
        table = np.full(256, -1, np.int16)
        table[list(ids(CVPR16))] = list(ids(CVPR16).values())
        try:
            values: Values = np.loadtxt(path, dtype=np.int32, ndmin=2)
        except (OSError, ValueError) as error:
            raise DataError(f"label {path} is not rows of numbers: {error}") from error
        return translated(path, values, table)
