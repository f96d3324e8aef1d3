"""Labels that were resized or saved with smoothing: between two classes lie values that are neither."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segfast_edge.data.label_files import LabelPicture

# share of the changes between neighbours that are steps of a slope: CamVid has 0.006, 0.024 once resized by nearest
# neighbour to a quarter, drawn scenes 0.015; both with any smoothing filter have 0.28 and more
SUSPECT = 0.15
BUSY = 0.3  # share of neighbours that differ, from which labels have hardly any areas, and noise has slopes too
FEWEST = 20  # steps, below which a few thin things could be all of it


@dataclass(frozen=True, slots=True)
class Slopes:
    """Counts of neighbouring pixels: all pairs, those that differ, and those that are steps of a slope."""

    pairs: int = 0
    changes: int = 0
    steps: int = 0

    def __add__(self, other: "Slopes") -> "Slopes":
        return Slopes(self.pairs + other.pairs, self.changes + other.changes, self.steps + other.steps)

    @property
    def share(self) -> float:
        """Steps of slopes as a share of all changes, 0 to 1."""
        return self.steps / max(1, self.changes)

    @property
    def suspect(self) -> bool:
        """Whether the labels look smoothed."""
        return self.steps >= FEWEST and self.share > SUSPECT and self.changes < BUSY * self.pairs


def slopes(picture: LabelPicture) -> Slopes:
    """Count in a label file as it is stored; of a colour file the channel that slopes most."""
    if picture.colours is not None:
        channels: Iterable[npt.NDArray[np.integer]] = (picture.colours[..., part] for part in range(3))
        return max((_counted(channel) for channel in channels), key=lambda found: found.share)
    return Slopes() if picture.values is None or picture.palette is not None else _counted(picture.values)


def _counted(values: npt.NDArray[np.integer]) -> Slopes:
    return _along_rows(values) + _along_rows(values.T)


def _along_rows(values: npt.NDArray[np.integer]) -> Slopes:
    """Count pixels that lie strictly between their two neighbours in a row, as none does where two classes meet."""
    wide = values.astype(np.int32)
    before, middle, after = wide[:, :-2], wide[:, 1:-1], wide[:, 2:]
    rising = (before < middle) & (middle < after)
    falling = (before > middle) & (middle > after)
    return Slopes(before.size, int((before != middle).sum()), int(rising.sum() + falling.sum()))
