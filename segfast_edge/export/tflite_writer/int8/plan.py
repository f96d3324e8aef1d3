"""The plan of an int8 file: the operators that compute in int8, and the scale of every tensor."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segfast_edge.export.tflite_writer import schema
from segfast_edge.export.tflite_writer.builder import Affine, Operator, Tensor
from segfast_edge.export.tflite_writer.int8.ranges import Range
from segfast_edge.export.tflite_writer.reader import Graph
from segfast_edge.export.tflite_writer.weightless import LOWEST

WEIGHTED = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 3, "FULLY_CONNECTED": 4}  # -> least version
SAME = {  # operators whose result stands for what its inputs stand for
    "CONCATENATION": 2,
    "DEPTH_TO_SPACE": 2,
    "GATHER": 2,
    "MAXIMUM": 2,
    "MAX_POOL_2D": 2,
    "MINIMUM": 2,
    "PAD": 2,
    "PADV2": 2,
    "RESHAPE": 1,
    "RESIZE_BILINEAR": 2,
    "RESIZE_NEAREST_NEIGHBOR": 2,
    "SLICE": 2,
    "SPACE_TO_DEPTH": 2,
    "SPLIT": 2,
}
FREE = {  # operators with a scale of their own for the result
    "ADD": 2,
    "AVERAGE_POOL_2D": 2,
    "HARD_SWISH": 1,
    "LEAKY_RELU": 2,
    "MEAN": 2,
    "MUL": 2,
    "RELU": 2,
    "RELU6": 2,
    "SUB": 2,
}
FIXED = {  # operators whose result the specification gives a scale
    "LOGISTIC": (2, Affine(1 / 256, -128)),
    "SOFTMAX": (2, Affine(1 / 256, -128)),
    "TANH": (2, Affine(1 / 128, 0)),
}
PRECISE = {  # torch's operators whose steps stay in float: 256 steps cannot hold their squares and quotients
    *("layer_norm", "group_norm", "instance_norm", "rms_norm", "linalg_vector_norm", "std", "var", "pow"),
    *("celu", "elu", "log_sigmoid", "mish", "selu", "softplus", "softsign"),
}
INTEGER_VERSION = {**WEIGHTED, **SAME, **FREE, **{name: version for name, (version, _) in FIXED.items()}}
SHARED = 1.5  # a tensor that others read too keeps its own scale where joining would make it coarser than this


@dataclass(frozen=True, slots=True)
class Entrance:
    """The frame as int8: ``value`` is the centred picture, an integer off by ``offsets`` per channel."""

    frames: Tensor
    value: Tensor
    affine: Affine
    offsets: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plan:
    """The operators that compute in int8, meaning and channel means of tensors by number, and the frame's way in.

    Where an operator in ``SAME`` reads a tensor of another meaning than its result's, that tensor is requantized.
    """

    integer: Collection[Operator]
    affines: Mapping[int, Affine]
    means: Mapping[int, npt.NDArray[np.float64]]
    entrance: Entrance | None


def affine(low: float, high: float) -> Affine:
    """Return the int8 meaning that covers a range and has zero, which padding needs, exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / 255, 1e-8)
    return Affine(float(np.float32(scale)), int(np.clip(round(-128 - low / scale), -128, 127)))


def plan(graph: Graph, ranges: Mapping[int, Range], kept_float: Collection[str] = ()) -> Plan:
    """Choose what computes in int8, and the scales by the ranges seen; ``kept_float`` names results to leave."""
    integer: list[Operator] = []
    way_in = entrance(graph)
    before_weights = _before_weights(graph, kept_float)
    for step in graph.operators:
        possible = step.name in INTEGER_VERSION and step.outputs[0].name not in kept_float
        if step.name == "HARD_SWISH" and len(step.outputs[0].shape) != 4:  # it becomes a convolution, which takes maps
            possible = False
        if (
            not possible
            or _operator_of(step) in PRECISE
            or _is_front(step, way_in)
            or step.outputs[0] not in before_weights
        ):
            continue
        sources = [graph.producer(tensor) for tensor in activations(graph, step)]
        # what has no weights is worth doing in int8 only where values are int8 already, or are padded for what follows
        moved = any(source in integer or _is_front(source, way_in) for source in sources)
        if step.name in WEIGHTED or moved or _pads_for_weights(graph, step, kept_float):
            integer.append(step)
    if way_in is not None and not _only_convolved(graph, way_in.value, integer):
        way_in = None
    scales = _Scales(graph, ranges, way_in)
    for step in integer:
        scales.add(step)
    means = {number: seen.means for number, seen in ranges.items()}
    return Plan(integer, scales.affines(), means, way_in)


def entrance(graph: Graph) -> Entrance | None:
    """Find the frame from which the mean colour is taken, as ``ends.centred`` writes it."""
    (frames,) = graph.inputs
    steps = graph.readers(frames)
    if len(steps) != 1 or steps[0].name != "DEQUANTIZE":
        return None
    steps = graph.readers(steps[0].outputs[0])
    if len(steps) != 1 or steps[0].name != "SUB" or steps[0].inputs[1].index not in graph.constants:
        return None
    colour = graph.constants[steps[0].inputs[1].index].astype(np.float64).reshape(-1, frames.shape[-1])[0]
    middle = round(float(colour.mean()))
    return Entrance(frames, steps[0].outputs[0], Affine(1.0, middle - 128), middle - colour)


def activations(graph: Graph, step: Operator) -> list[Tensor]:
    """Return the float tensors that an operator reads and that are not fixed."""
    return [each for each in step.inputs if each.dtype == np.float32 and each.index not in graph.constants]


def averages_whole_windows(step: Operator) -> bool:
    """Whether a step is average pooling that needs no padding, and so a depthwise convolution with equal weights."""
    return step.name == "AVERAGE_POOL_2D" and step.options.padding == schema.generated.Padding.VALID


def _pads_for_weights(graph: Graph, step: Operator, kept_float: Collection[str]) -> bool:
    """Whether a border goes round what only int8 convolutions read: XNNPACK melts it into them where it is int8 too."""
    readers = graph.readers(step.outputs[0]) if step.name == "PAD" else []
    return bool(readers) and all(
        reader.name in WEIGHTED and reader.outputs[0].name not in kept_float for reader in readers
    )


def _before_weights(graph: Graph, kept_float: Collection[str]) -> set[Tensor]:
    """Return what int8 layers with weights give, and what other such layers are computed from.

    What comes after the last one stays in float: for 12 classes, resizing 112x112 to 224x224 and the largest class
    take 0.77 of the time that they take in int8, and nothing is rounded between them.
    """
    found: set[Tensor] = set()
    for step in reversed(graph.operators):
        int8_weights = step.name in WEIGHTED and step.outputs[0].name not in kept_float
        if int8_weights or any(each in found for each in step.outputs):
            found.update(step.outputs)
            found.update(step.inputs)
    return found


def _operator_of(step: Operator) -> str:
    """Return torch's operator that a step was written for; tensors are named LAYER/OPERATOR, and numbered."""
    return re.sub(r"_\d+$", "", step.outputs[0].name.rpartition("/")[2])


def _is_front(step: Operator | None, way_in: Entrance | None) -> bool:
    return step is not None and way_in is not None and way_in.value in step.outputs


def _only_convolved(graph: Graph, value: Tensor, integer: Collection[Operator]) -> bool:
    """Whether a tensor goes into integer convolutions only, possibly past a border of zeros."""
    readers = graph.readers(value)
    return bool(readers) and all(
        step in integer
        and (
            step.name in ("CONV_2D", "DEPTHWISE_CONV_2D")
            or (step.name == "PAD" and _only_convolved(graph, step.outputs[0], integer))
        )
        for step in readers
    )


class _Scales:
    """Tensors joined in groups that share one meaning, and the range that each group must cover."""

    def __init__(self, graph: Graph, ranges: Mapping[int, Range], way_in: Entrance | None) -> None:
        self._graph, self._ranges = graph, ranges
        self._parent: dict[int, int] = {}
        self._seen: dict[int, list[tuple[float, float]]] = {}
        self._given: dict[int, Affine] = {} if way_in is None else {way_in.value.index: way_in.affine}
        if way_in is not None:
            self._parent[way_in.value.index] = way_in.value.index

    def add(self, step: Operator) -> None:
        """Take an integer operator's tensors in; operators come in order."""
        sources = activations(self._graph, step)
        for tensor in sources:
            if tensor.index not in self._parent:  # computed in float, to be quantized
                self._cover(tensor.index)
        if step.name not in SAME and not (step.name == "AVERAGE_POOL_2D" and not averages_whole_windows(step)):
            self._cover(step.outputs[0].index)
            if step.name in FIXED:
                self._given[step.outputs[0].index] = FIXED[step.name][1]
            return
        first = step.outputs[0].index
        for tensor in step.outputs:
            self._parent[tensor.index] = first
        for tensor in sources:
            if len(sources) == 1 or not self._keeps_its_own(tensor, step):
                self._join(tensor.index, first)
        fixed = [self._graph.constants[each.index] for each in step.inputs if each.index in self._graph.constants]
        for values in fixed:
            if values.dtype == np.float32 and values.min() > LOWEST:
                self._seen.setdefault(self._root(first), []).append((float(values.min()), float(values.max())))

    def affines(self) -> dict[int, Affine]:
        """Return the meaning of every int8 tensor by its number."""
        found = {}
        for index in self._parent:
            root = self._root(index)
            seen = self._seen.get(root, [(0.0, 0.0)])
            found[index] = self._given.get(root) or affine(min(low for low, _ in seen), max(high for _, high in seen))
        return found

    def _cover(self, index: int) -> None:
        self._parent[index] = index
        self._seen[index] = [(self._ranges[index].low, self._ranges[index].high)]

    def _root(self, index: int) -> int:
        while self._parent[index] != index:
            index = self._parent[index]
        return index

    def _join(self, index: int, other: int) -> None:
        root, target = self._root(index), self._root(other)
        if root == target:
            return
        self._parent[target] = root
        self._seen.setdefault(root, []).extend(self._seen.pop(target, []))
        if target in self._given:
            self._given[root] = self._given.pop(target)

    def _keeps_its_own(self, tensor: Tensor, step: Operator) -> bool:
        """Whether one of several inputs is to be requantized rather than computed as coarsely as the result is."""
        if self._root(tensor.index) in self._given:
            return True
        own, whole = self._ranges[tensor.index], self._ranges[step.outputs[0].index]
        coarser = (whole.high - whole.low) / max(own.high - own.low, 1e-8)
        return coarser > SHARED and len(self._graph.readers(tensor)) > 1
