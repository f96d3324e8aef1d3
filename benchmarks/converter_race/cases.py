"""What is raced: networks at sizes, and for each the ways to run it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segfast_edge.contract.shared.files import sha256
from segfast_edge.weights import find, shipped

NETWORKS = ("segfast", "segfast_fast", "fast_scnn", "lraspp_mobilenet_v3_large")
REFERENCE = "segnet"  # the paper's yardstick, in eager torch alone
SIZES = ((224, 224), (360, 480))  # height, width
FORMATS = ("torchscript", "openvino", "tflite", "onnx")
SHIPPED = "camvid-standard-{}"  # by network; the classes of segfast's go for those that have none
INTEGER = ("openvino", "tflite", "onnx")
OURS, DEFAULT, LOWERED = "ours", "default", "default, lowered by us"


@dataclass(frozen=True, slots=True)
class Case:
    """One network at one size (height, width), and the folder where its files lie."""

    network: str
    size: tuple[int, int]
    folder: Path

    @property
    def name(self) -> str:
        """Name with height x width."""
        return f"{self.network} {self.size[0]}x{self.size[1]}"

    @property
    def checkpoint(self) -> Path:
        """The weights that every way starts from."""
        return self.folder / "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Conversion:
    """One file to be made: a format, ``float32`` or ``int8``, and by whose path."""

    format: str
    precision: str
    side: str

    def folder(self, case: Case) -> Path:
        """Where it lies."""
        side = self.side.replace(", ", "-").replace(" ", "-")
        return case.folder / f"{self.format}-{self.precision}-{side}"


@dataclass(frozen=True, slots=True)
class Way:
    """One row of the race: how a case is run. ``hint`` is the precision that OpenVINO is told to compute floats in."""

    conversion: Conversion | None  # None: eager torch
    hint: str | None = None

    @property
    def tool(self) -> str:
        """The format, or ``eager``."""
        return "eager" if self.conversion is None else self.conversion.format

    @property
    def precision(self) -> str:
        """``f32``, ``bf16`` or ``int8``, and ``int8 + bf16`` where what is not int8 is bf16."""
        if self.conversion is None or self.conversion.precision == "float32":
            return self.hint or "f32"
        return f"int8 + {self.hint}" if self.hint else "int8"

    @property
    def side(self) -> str:
        """Whose path made the file; eager torch is the network as it is."""
        return DEFAULT if self.conversion is None else self.conversion.side


def cases(work: Path, networks: tuple[str, ...] = (*NETWORKS, REFERENCE)) -> list[Case]:
    """Return every case, its folder below ``work`` named by the weights too: none is raced with files of older ones."""
    keys = {name: sha256(weights(name))[:12] for name in networks}
    return [Case(name, size, work / f"{name}-{size[0]}x{size[1]}-{keys[name]}") for name in networks for size in SIZES]


def weights(network: str) -> Path:
    """Return the shipped weights of a network; segfast's, of which only the classes are used, where none ship."""
    own = SHIPPED.format(network)
    return find(Path(own if own in shipped() else SHIPPED.format("segfast")))


def conversions(case: Case) -> Iterator[Conversion]:
    """Give every file that a case needs; the lowered default only helps where there is something to lower."""
    if case.network == REFERENCE:
        return
    for side in (OURS, DEFAULT):
        for name in FORMATS:
            yield Conversion(name, "float32", side)
        for name in INTEGER:
            yield Conversion(name, "int8", side)
    if case.network.startswith("segfast"):
        yield from (Conversion("tflite", precision, LOWERED) for precision in ("float32", "int8"))


def ways(case: Case) -> list[Way]:
    """Return every way to run a case; OpenVINO's files run with either hint."""
    found = [Way(None)]
    for conversion in conversions(case):
        found.append(Way(conversion))
        if conversion.format == "openvino":
            found.append(Way(conversion, "bf16"))
    return found
