"""ONNX: a front and a tail in the file's own operators, merged with it by onnx's ``compose``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, compose, helper, numpy_helper
from onnx.tools.update_model_dims import update_inputs_outputs_dims

from segfast_edge.contract.manifest import Manifest
from segfast_edge.errors import ArtifactError
from segfast_edge.export.common.converter_errors import writing
from segfast_edge.export.common.reading import Reading
from segfast_edge.export.onnx import describe
from segfast_edge.model.normalise import Normalise

INPUT, BARE = "frames", "bare/"


def opened(path: Path, size: tuple[int, int]) -> "OnnxFile":
    """Open a file, its batch and size fixed."""
    try:
        model = onnx.load(path)
        (entrance,) = [each for each in model.graph.input if each.name not in {w.name for w in model.graph.initializer}]
        fixed = update_inputs_outputs_dims(
            model, {entrance.name: [1, 3, *size]}, {each.name: _dims(each) for each in model.graph.output}
        )
        return OnnxFile(fixed, entrance.name)
    except ArtifactError:
        raise
    except Exception as error:  # protobuf, onnx and ONNX Runtime share no base class
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ArtifactError(
            f"{path} is no ONNX file of one float32 picture 1 x 3 x {size[0]} x {size[1]}: {line}"
        ) from error


def _dims(value: Any) -> list[int | str]:
    dims = value.type.tensor_type.shape.dim
    return [each.dim_value if each.dim_value > 0 else f"{value.name}_{place}" for place, each in enumerate(dims)]


class OnnxFile:
    """A bare file, and a session of it."""

    def __init__(self, model: Any, entrance: str) -> None:
        self._model, self._entrance = model, entrance
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
        )
        self._outputs = [each.name for each in self._session.get_outputs()]

    def run(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run the bare file."""
        found: list[Any] = self._session.run(self._outputs, {self._entrance: x.numpy()})
        return {name: torch.from_numpy(np.array(each)) for name, each in zip(self._outputs, found, strict=True)}

    def wrap(self, manifest: Manifest, reading: Reading, folder: Path) -> Manifest:
        """Merge front, file and tail."""
        opsets = list(self._model.opset_import)
        (version,) = [each.version for each in opsets if each.domain in ("", "ai.onnx")]
        kept = str(reading.key)
        front = _model("front", _front(manifest), opsets, self._model.ir_version)
        tail = _model("tail", _tail(manifest, reading, version, len(manifest.classes)), opsets, self._model.ir_version)
        whole = compose.merge_models(
            front, self._model, [("planes", self._entrance)], prefix2=BARE, outputs=[f"{BARE}{kept}"]
        )
        whole = compose.merge_models(whole, tail, [(f"{BARE}{kept}", "found")])
        del whole.metadata_props[:]
        onnx.checker.check_model(whole, full_check=True)
        describe(whole, manifest)
        with writing(folder):
            onnx.save(whole, folder / manifest.model_file)
        return manifest


Part = tuple[list[Any], Any, Any, list[Any]]  # nodes, input, output, constants


def _model(name: str, part: Part, opsets: Sequence[Any], ir_version: int) -> Any:
    nodes, entrance, exit_, constants = part
    graph = helper.make_graph(nodes, name, [entrance], [exit_], constants)
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def _front(manifest: Manifest) -> Part:
    """From uint8 frames to normalised planes in the network's order."""
    layer = Normalise(manifest.preprocess)
    order = np.array([2, 1, 0] if manifest.preprocess.channel_order == "BGR" else [0, 1, 2], np.int64)
    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["ordered"], perm=[0, 3, 1, 2]),
        helper.make_node("Gather", ["ordered", "order"], ["turned"], axis=1),
        helper.make_node("Mul", ["turned", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["planes"]),
    ]
    fixed = {"order": order, "scale": layer.scale.numpy(), "shift": layer.shift.numpy()}
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in fixed.items()]
    size = manifest.preprocess.size
    return (
        nodes,
        helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [1, *size, 3]),
        helper.make_tensor_value_info("planes", TensorProto.FLOAT, [1, 3, *size]),
        constants,
    )


def _tail(manifest: Manifest, reading: Reading, version: int, classes: int) -> Part:
    """From what the bare file gives to labels, or logits with channels last."""
    nodes, value, constants = [], "found", []
    if reading.one_logit:
        nodes.append(helper.make_node("Sub", [value, value], ["zeros"]))
        nodes.append(helper.make_node("Concat", ["zeros", value], ["both"], axis=1))
        value = "both"
    if reading.size is not None:
        if version < 11:
            raise ArtifactError(f"the file is of opset {version}; logits smaller than the picture need 11 or later")
        sizes = numpy_helper.from_array(np.array([1, classes, *reading.size], np.int64), "sizes")
        constants.append(sizes)
        linear = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        way = linear if reading.mode == "bilinear" else nearest
        nodes.append(helper.make_node("Resize", [value, "", "", "sizes"], ["enlarged"], **way))
        value = "enlarged"
    size = manifest.preprocess.size
    if manifest.output_kind == "logits":
        nodes.append(helper.make_node("Transpose", [value], ["logits"], perm=[0, 2, 3, 1]))
        given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, *size, classes])
    else:
        nodes.append(helper.make_node("ArgMax", [value], ["numbers"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["numbers"], ["wide"], to=TensorProto.FLOAT))  # as TensorRT wants it
        nodes.append(helper.make_node("Cast", ["wide"], ["labels"], to=TensorProto.UINT8))
        given = helper.make_tensor_value_info("labels", TensorProto.UINT8, [1, *size])
    return nodes, helper.make_tensor_value_info("found", TensorProto.FLOAT, None), given, constants
