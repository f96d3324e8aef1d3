"""What a network of one's own takes and tells apart: the options for it, as one description."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segfast_edge.errors import DataError

if TYPE_CHECKING:
    from segfast_edge.contract.classes import ClassSet, Colour
    from segfast_edge.contract.preprocess import Preprocess

IMAGENET = "pixels are normalised with ImageNet's mean 0.485,0.456,0.406 and std 0.229,0.224,0.225"
SIZE, RANGE = "224x224", (0.0, 1.0)
OPTIONS = ("size", "mean", "std", "value_range", "channel_order", "resize_filter", "classes", "class_names", "palette")


def own_options(group: Any) -> None:
    """Declare the options; none has a default, so that omitted options can be detected."""
    group.add_argument("--classes", type=int, metavar="N", help="number of classes")
    group.add_argument("--size", metavar="HxW", help=f"input size (default {SIZE})")
    group.add_argument(
        "--mean",
        metavar="A,B,C",
        help="value to subtract from each channel, in units of --value-range (default: ImageNet's)",
    )
    group.add_argument(
        "--std", metavar="A,B,C", help="value to divide each channel by afterwards (default: ImageNet's)"
    )
    group.add_argument(
        "--value-range",
        metavar="LOW,HIGH",
        help="pixel range that --mean and --std refer to, such as --value-range=-1,1 (default 0,1)",
    )
    group.add_argument(
        "--channel-order",
        metavar="ORDER",
        help="order of the channels, of --mean and of --std: RGB or BGR (default RGB)",
    )
    group.add_argument("--resize-filter", metavar="NAME", help="bilinear, nearest or area (default bilinear)")
    group.add_argument("--class-names", metavar="A,B,...|FILE", help="in label order; a file has one a line")
    group.add_argument("--palette", metavar="#RRGGBB,...|FILE", help="colours in label order; a file has one a line")


def named_options(args: argparse.Namespace) -> list[str]:
    """Return those of the options that were given, as they are typed."""
    return [f"--{name.replace('_', '-')}" for name in OPTIONS if getattr(args, name) is not None]


@dataclass(frozen=True, slots=True)
class OwnNetwork:
    """Preprocessing and classes; ``assumed`` has one sentence for each assumption."""

    preprocess: "Preprocess"
    classes: "ClassSet"
    assumed: tuple[str, ...]


def own_network(args: argparse.Namespace) -> OwnNetwork:
    """Read the options.

    Raises:
        DataError: a value is malformed, or the number of classes is not known.
    """
    from segfast_edge.contract.preprocess import Preprocess, parse_size

    told = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    height, width = parse_size(str(told.get("size", SIZE)))
    low, high = _numbers(told["value_range"], "value_range", 2) if "value_range" in told else RANGE
    if not low < high:
        raise DataError(f"--value-range {low:g},{high:g} is empty")
    scale = high - low
    imagenet, given = Preprocess(), {}
    for name, plain in (("mean", 0.0), ("std", 1.0)):
        if name in told:
            given[name] = _numbers(told[name], name, 3)
        elif told.keys() & {"mean", "std", "value_range"}:
            given[name] = [plain] * 3
        else:
            given[name] = list(getattr(imagenet, name))
    preprocess = Preprocess(
        height,
        width,
        told.get("resize_filter", imagenet.filter),
        _three([(each - low) / scale for each in given["mean"]]),  # as if pixels went from 0 to 1
        _three([each / scale for each in given["std"]]),
        told.get("channel_order", imagenet.channel_order),
    )
    return OwnNetwork(preprocess, _classes(told), tuple(_assumed(told)))


def _assumed(told: dict[str, Any]) -> list[str]:
    assumed = []
    if "size" not in told:
        assumed.append(f"pictures are {SIZE}; --size HxW says otherwise")
    if not told.keys() & {"mean", "std", "value_range"}:
        assumed.append(f"{IMAGENET}; --mean, --std and --value-range say otherwise")
    elif not {"mean", "std"} <= told.keys():
        plain = " and ".join(text for name, text in (("mean", "mean 0"), ("std", "std 1")) if name not in told)
        assumed.append(f"pixels have {plain} beside what was given")
    if "channel_order" not in told:
        assumed.append("channels are in the order RGB; --channel-order BGR turns them round")
    if "resize_filter" not in told:
        assumed.append("pictures of another size are resized bilinearly; --resize-filter names another filter")
    if "class_names" not in told:
        assumed.append("classes are called by their numbers; --class-names gives their names")
    return assumed


def _classes(told: dict[str, Any]) -> "ClassSet":
    from segfast_edge.contract.classes import ClassSet, distinct_palette, numbered

    names = _words(told["class_names"], "class_names") if "class_names" in told else []
    count = told.get("classes", len(names) or None)
    if not isinstance(count, int):
        raise DataError("how many classes are there? Say --classes N, or --class-names")
    if names and len(names) != count:
        raise DataError(f"--class-names has {len(names)} names, and --classes says {count}")
    colours = tuple(map(_colour, _words(told["palette"], "palette"))) if "palette" in told else distinct_palette(count)
    ignored = 255 if count <= 255 else None
    return ClassSet(tuple(names) or numbered(count).names, colours, ignored)


def _numbers(value: Any, name: str, count: int) -> list[float]:
    parts = value.split(",") if isinstance(value, str) else value
    try:
        found = [float(part) for part in parts]
    except (TypeError, ValueError) as error:
        raise DataError(
            f"--{name.replace('_', '-')} {value} is not {count} numbers with commas between them"
        ) from error
    if len(found) == 1:
        found *= count
    if len(found) != count:
        raise DataError(f"--{name.replace('_', '-')} {value} has {len(found)} numbers; expected {count}")
    return found


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    first, second, third = values
    return first, second, third


def _words(value: Any, name: str) -> list[str]:
    """Return the parts of a text with commas, or the lines of a file."""
    path = Path(str(value))
    try:
        parts = path.read_text(encoding="utf-8").splitlines() if path.is_file() else str(value).split(",")
    except (OSError, ValueError) as error:
        raise DataError(f"--{name.replace('_', '-')} {path} cannot be read: {error}") from error
    return [part.strip() for part in parts if part.strip()]


def _colour(text: str) -> "Colour":
    digits = text.removeprefix("#")
    try:
        if len(digits) != 6:
            raise ValueError
        red, green, blue = bytes.fromhex(digits)
    except ValueError as error:
        raise DataError(f"--palette: '{text}' is no colour; write six digits, as #804080") from error
    return red, green, blue
