"""The one definition of how a frame becomes a network's input, on the training machine and on the device."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.errors import DataError

Filter = Literal["nearest", "bilinear", "area"]
Order = Literal["RGB", "BGR"]
_PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
}
MIN_SIDE, MAX_SIDE = 16, 8192


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Resize to ``height`` x ``width`` with Pillow's filter; mean and std go into the exported graph.

    ``image`` is the only resizing that training, calibration and device do. Normalisation,
    ``(pixel / 255 - mean) / std`` per channel, is the first layer of every exported graph, so a device hands over
    uint8 RGB and never sees these numbers. ``channel_order`` is what the network wants, also for mean and std.
    """

    height: int = 224
    width: int = 224
    filter: Filter = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    channel_order: Order = "RGB"

    def __post_init__(self) -> None:
        for side, value in (("height", self.height), ("width", self.width)):
            if not MIN_SIDE <= value <= MAX_SIDE:
                raise DataError(f"input {side} {value} is outside {MIN_SIDE} to {MAX_SIDE}")
        if self.filter not in get_args(Filter):
            raise DataError(f"resize filter '{self.filter}' is unknown; allowed: {', '.join(get_args(Filter))}")
        if self.channel_order not in get_args(Order):
            raise DataError(f"channel order '{self.channel_order}' is unknown; allowed: {', '.join(get_args(Order))}")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(s > 0 for s in self.std):
            raise DataError(f"mean {self.mean} and std {self.std} must be three values each, std above zero")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the network's input in pixels."""
        return self.height, self.width

    def image(self, frame: Frame) -> Frame:
        """Resize an RGB uint8 frame of any size to uint8 ``height`` x ``width`` x 3.

        Raises:
            DataError: the frame is not uint8 height x width x 3.
        """
        check_frame(frame)
        if frame.shape[:2] == self.size:
            return np.ascontiguousarray(frame)
        return self.picture(Image.fromarray(np.ascontiguousarray(frame)))

    def picture(self, picture: Image.Image) -> Frame:
        """Do the same to a Pillow picture of mode RGB, without a copy of its pixels in between."""
        if picture.mode != "RGB":
            raise DataError(f"picture has mode {picture.mode}; expected RGB")
        # a picture of this size is returned as it is: Pillow copies it instead of filtering it
        return np.asarray(picture.resize((self.width, self.height), _PILLOW[self.filter]))

    def labels(self, labels: Labels) -> Labels:
        """Resize ground truth to the network's size by nearest neighbour, which invents no class."""
        return resize_labels(labels, self.size)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "height": self.height,
            "width": self.width,
            "filter": self.filter,
            "colour": "RGB",
            "mean": list(self.mean),
            "std": list(self.std),
            **({} if self.channel_order == "RGB" else {"channel_order": self.channel_order}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Preprocess":
        """Read what ``to_json`` wrote."""
        if value["colour"] != "RGB":
            raise DataError(f"colour order {value['colour']} is not supported; expected RGB")
        mean, std = (tuple(float(part) for part in value[key]) for key in ("mean", "std"))
        if len(mean) != 3 or len(std) != 3:
            raise DataError(f"mean {mean} and std {std} must be three values each")
        order = value.get("channel_order", "RGB")
        return cls(int(value["height"]), int(value["width"]), value["filter"], mean, std, order)


def check_frame(frame: Frame) -> None:
    """Raise DataError unless ``frame`` is uint8 height x width x 3 with pixels in it."""
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        raise DataError(f"frame is {getattr(frame, 'dtype', type(frame).__name__)}; expected uint8")
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
        raise DataError(f"frame has shape {frame.shape}; expected height x width x 3 (RGB)")


def resize_labels(labels: Labels, size: tuple[int, int]) -> Labels:
    """Resize uint8 height x width class ids to ``size`` (height, width) by nearest neighbour."""
    if labels.dtype != np.uint8 or labels.ndim != 2:
        raise DataError(f"labels are {labels.dtype} with shape {labels.shape}; expected uint8 height x width")
    if labels.shape == size:
        return labels
    picture = Image.fromarray(np.ascontiguousarray(labels))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.NEAREST))


def parse_size(text: str) -> tuple[int, int]:
    """Read ``HxW`` or ``N`` (square) as height and width in pixels.

    Raises:
        DataError: not of that form, or a side outside the allowed range.
    """
    parts = text.lower().split("x")
    if len(parts) not in (1, 2) or not all(part.isascii() and part.isdigit() for part in parts):
        raise DataError(f"size '{text}' is not HxW, for example 360x480")
    height, width = int(parts[0]), int(parts[-1])
    Preprocess(height, width)
    return height, width
