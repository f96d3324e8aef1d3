"""The places of a sliding window on a map: torch's explicit padding as TFLite's SAME and VALID."""

from collections.abc import Sequence
from dataclasses import dataclass

Pair = tuple[int, int]  # height, width


def pair(values: int | Sequence[int]) -> Pair:
    """Read a number for both axes, or one each."""
    return (values, values) if isinstance(values, int) else (values[0], values[-1])


@dataclass(frozen=True, slots=True)
class Window:
    """A kernel sliding over a map, each field for height and width.

    ``before`` is the padding above and left of the map. What is padded below and right follows from ``outputs``,
    the number of places the window takes.
    """

    kernel: Pair
    stride: Pair
    dilation: Pair
    before: Pair
    outputs: Pair

    def reach(self, axis: int) -> int:
        """How many rows (0) or columns (1) of the map one place of the window spans."""
        return (self.kernel[axis] - 1) * self.dilation[axis] + 1

    def after(self, size: Pair) -> Pair:
        """The padding below and right that the last place needs; a map may also end in rows that no place needs."""
        rows, columns = (
            max(0, (self.outputs[axis] - 1) * self.stride[axis] + self.reach(axis) - size[axis] - self.before[axis])
            for axis in (0, 1)
        )
        return rows, columns

    def is_same(self, size: Pair) -> bool:
        """Whether TFLite's SAME puts the window at the same places: it pads the smaller half in front."""
        for axis in (0, 1):
            outputs, stride = self.outputs[axis], self.stride[axis]
            padding = max(0, (outputs - 1) * stride + self.reach(axis) - size[axis])
            if outputs != -(-size[axis] // stride) or self.before[axis] != padding // 2:
                return False
        return True

    def is_valid(self, size: Pair) -> bool:
        """Whether TFLite's VALID, which pads nothing, gives the same places."""
        return self.before == (0, 0) and all(
            self.outputs[axis] == (size[axis] - self.reach(axis)) // self.stride[axis] + 1 for axis in (0, 1)
        )
