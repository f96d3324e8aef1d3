"""OpenVINO: the model compiled with the last value of each layer as an output of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from segfast_edge.contract.shared.images import Frame
from segfast_edge.export.intermediate import NETWORK, Intermediate

BETWEEN = {"Constant", "Parameter", "Result", "FakeQuantize", "Convert"}


def values(path: Path, batch: Frame) -> Sequence[Intermediate]:
    """Return the values in float32; in an int8 file those before they are rounded."""
    core = openvino.Core()
    model = core.read_model(path)
    last: dict[str, Any] = {}
    for step in model.get_ordered_ops():
        layer = step.get_friendly_name().partition("/")[0].removeprefix("__module.")
        moving = step.get_type_name() not in BETWEEN and step.get_output_size() == 1
        if layer.startswith(NETWORK) and moving and step.get_output_element_type(0) == openvino.Type.f32:
            last[layer.removeprefix(NETWORK)] = step.output(0)
    start = len(model.outputs)
    model.add_outputs(list(last.values()))
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled([batch])
    return [Intermediate(layer, np.array(found[start + place])) for place, layer in enumerate(last)]
