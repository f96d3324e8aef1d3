"""TFLite: LiteRT told to keep every tensor, by its own kernels, since XNNPACK shows nothing of what it takes over."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from segfast_edge.contract.shared.images import Frame
from segfast_edge.export.intermediate import Intermediate
from segfast_edge.export.tflite_writer import schema
from segfast_edge.export.tflite_writer.builder import Operator
from segfast_edge.export.tflite_writer.reader import read

MOVING = ("CONCATENATION", "DEPTH_TO_SPACE", "RESHAPE", "SLICE", "STRIDED_SLICE", "TRANSPOSE")
LIMITS: dict[int, tuple[float | None, float | None]] = {
    schema.activation("RELU"): (0, None),
    schema.activation("RELU6"): (0, 6),
    schema.activation("RELU_N1_TO_1"): (-1, 1),
}


def values(path: Path, batch: Frame) -> Sequence[Intermediate]:
    """Return the values, integers as the numbers that they stand for."""
    content = path.read_bytes()
    steps: dict[str, list[Operator]] = {}
    for step in read(content).operators:
        steps.setdefault(step.outputs[0].name.rpartition("/")[0], []).append(step)
    runner = Interpreter(
        model_content=content,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    runner.allocate_tensors()
    runner.set_tensor(runner.get_input_details()[0]["index"], batch)
    runner.invoke()
    details = {each["index"]: each for each in runner.get_tensor_details()}
    found = []
    for layer, part in steps.items():
        number = part[-1].outputs[0].index
        value = _numbers(runner.get_tensor(number), details[number]["quantization_parameters"])
        found.append(Intermediate(layer, value.transpose(0, 3, 1, 2) if value.ndim == 4 else value, _limits(part)))
    return found


def _limits(part: Sequence[Operator]) -> tuple[float | None, float | None] | None:
    """Return the limits of the activation that a layer's last computing step took over: behind it values only move."""
    computing = [step for step in part if step.name not in MOVING]
    return LIMITS.get(getattr(computing[-1].options, "fusedActivationFunction", 0)) if computing else None


def _numbers(value: npt.NDArray[Any], meaning: dict[str, Any]) -> npt.NDArray[np.float32]:
    if np.issubdtype(value.dtype, np.floating) or not len(meaning["scales"]):
        return value.astype(np.float32)
    return (value.astype(np.float32) - np.float32(meaning["zero_points"][0])) * np.float32(meaning["scales"][0])
