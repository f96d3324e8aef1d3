"""Exported ONNX files held to what TensorRT's documents say of its ONNX parser; TensorRT itself needs a GPU."""

import functools
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny_export
from onnx import TensorProto, helper, numpy_helper, shape_inference

from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.export import onnx as onnx_export
from segfast_edge.export.common.conversion import begin
from segfast_edge.export.common.exporter import Int8Recipe
from segfast_edge.export.common.graph import deployable
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.onnx import converted
from segfast_edge.model import build
from segfast_edge.model.checkpoint import Checkpoint

# Operators with a Y in docs/operators.md of github.com/onnx/onnx-tensorrt (8.5 to 11) that our networks may use
SUPPORTED = {
    *("Add", "ArgMax", "AveragePool", "Cast", "Clip", "Concat", "Constant", "Conv", "ConvTranspose", "DepthToSpace"),
    *("DequantizeLinear", "Div", "Equal", "Expand", "Flatten", "Gather", "Gemm", "GlobalAveragePool", "HardSigmoid"),
    *("HardSwish", "Identity", "LeakyRelu", "MatMul", "Max", "MaxPool", "Min", "Mul", "Pad", "QuantizeLinear"),
    *("ReduceMean", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "Softmax", "Split", "Squeeze", "Sub", "Tile"),
    *("Transpose", "Unsqueeze", "Where"),
}
RESIZING = {  # attribute -> what the parser takes
    "mode": {b"nearest", b"linear"},
    "coordinate_transformation_mode": {b"half_pixel", b"pytorch_half_pixel", b"asymmetric", b"align_corners"},
    "nearest_mode": {b"floor", b"ceil", b"round_prefer_floor", b"round_prefer_ceil"},
    "antialias": {0},
    "keep_aspect_ratio_policy": {b"stretch"},
    "exclude_outside": {0},
}


@functools.cache
def exported(network: str, lowering: str = "native", output_kind: str = "labels") -> onnx.ModelProto:
    weights = build(network, len(tiny_export.CLASSES)).state_dict()
    described = f"paper: 32x48, {len(tiny_export.CLASSES)} classes, void counted as a class"
    checkpoint = Checkpoint(network, tiny_export.CLASSES, Preprocess(32, 48), described, weights, {})
    model = converted(deployable(checkpoint, output_kind, lowering=lowering))
    return shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def attributes(node: onnx.NodeProto) -> dict:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def types(model: onnx.ModelProto) -> dict[str, onnx.TypeProto.Tensor]:
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    return {each.name: each.type.tensor_type for each in values}


def violations(model: onnx.ModelProto) -> list[str]:
    """Return what TensorRT's ONNX parser would refuse, by its documents."""
    found = _shape_violations(model) + _uint8_violations(model) + _int8_violations(model)
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    for node in model.graph.node:
        said = attributes(node)
        if node.op_type not in SUPPORTED or node.domain:
            found.append(f"{node.op_type} is not supported")
        if node.op_type == "Resize":
            asked = {name: said[name] for name in RESIZING if name in said}
            found += [f"Resize {name} {value}" for name, value in asked.items() if value not in RESIZING[name]]
        if node.op_type == "MaxPool" and len(node.output) > 1:
            found.append("MaxPool gives indices")
        if node.op_type in ("Slice", "Squeeze", "Unsqueeze", "ReduceMean"):
            fixed = node.input[1:]
            found += [f"{node.op_type} by a computed {name}" for name in fixed if name and name not in constants]
    return found


def _shape_violations(model: onnx.ModelProto) -> list[str]:
    fixed = {
        name: kind.HasField("shape")
        and all(each.HasField("dim_value") and each.dim_value > 0 for each in kind.shape.dim)
        for name, kind in types(model).items()
    }
    return [f"{name} has no fixed shape" for name in fixed if not fixed[name]]


def _uint8_violations(model: onnx.ModelProto) -> list[str]:
    """uint8 is for inputs that go into a Cast and nothing else, and for outputs of a Cast from floating point."""
    (frames,), (result,) = model.graph.input, model.graph.output
    known = types(model)
    readers = [node.op_type for node in model.graph.node if frames.name in node.input]
    found = [] if readers == ["Cast"] else [f"uint8 input goes into {readers}"]
    if known[result.name].elem_type == TensorProto.UINT8:
        (writer,) = (node for node in model.graph.node if result.name in node.output)
        from_float = writer.op_type == "Cast" and known[writer.input[0]].elem_type == TensorProto.FLOAT
        found += [] if from_float else [f"uint8 output comes out of {writer.op_type}"]
    between = [name for name in known if name not in (frames.name, result.name)]
    return found + [f"{name} is uint8" for name in between if known[name].elem_type == TensorProto.UINT8]


def _int8_violations(model: onnx.ModelProto) -> list[str]:
    """Q/DQ as "Explicit Quantization" and "Q/DQ Placement Recommendations" in TensorRT's documentation want it.

    Read at docs.nvidia.com/deeplearning/tensorrt, 8.6 to 11, and in operators.md of the parser: zero points are 0 and
    int8; a Q has its DQ; activations have one scale, weights one per output channel (axis 0 of a convolution); biases
    are float; weights are float with a pair of their own, the one form that 8.6 takes; a pair stands before an input of
    what has weights and nowhere else (not between a convolution and its activation); no transposed convolution of
    several groups is in int8.
    """
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    writers = {name: node for node in model.graph.node for name in node.output}
    readers = {name: [node for node in model.graph.node if name in node.input] for name in writers}
    found = []
    for node in model.graph.node:
        kind = node.op_type
        if kind in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants.get(node.input[2]) if len(node.input) > 2 else np.int8(0)
            if zero is None or zero.dtype != np.int8 or np.any(zero):
                found.append(f"{kind} is not symmetric int8")
        if kind == "QuantizeLinear":
            scale = constants[node.input[1]]
            if node.input[0] not in constants and scale.ndim:
                found.append(f"activation {node.input[0]} has a scale per channel")
            if any(each.op_type != "DequantizeLinear" for each in readers[node.output[0]]):
                found.append("QuantizeLinear without its DequantizeLinear")
        if kind == "DequantizeLinear":
            if node.input[0] in constants:
                found.append(f"{node.input[0]} is stored as {constants[node.input[0]].dtype}")
            served = {each.op_type for each in readers[node.output[0]]}
            if served.isdisjoint({"Conv", "Gemm", "MatMul"}):  # others may read the same tensor
                found.append(f"a pair stands before {sorted(served)}")
        if kind in ("Conv", "ConvTranspose"):
            pairs = [name in writers and writers[name].op_type == "DequantizeLinear" for name in node.input]
            if any(pairs[2:]) or (pairs[0] != pairs[1]):
                found.append(f"{kind} has pairs at {pairs}")
            if kind == "ConvTranspose" and any(pairs) and attributes(node).get("group", 1) > 1:
                found.append("a grouped transposed convolution is in int8")
            if pairs[1] and (attributes(writers[node.input[1]]).get("axis") != 0 or kind != "Conv"):
                found.append(f"the weights of a {kind} are not per output channel")
    return found


@pytest.mark.parametrize(("lowering", "output_kind"), [("native", "labels"), ("subpixel", "logits")])
def test_a_network_with_every_kind_of_transposed_convolution_is_what_tensorrt_reads(lowering, output_kind):
    model = exported("tiny_export:decoder", lowering, output_kind)
    assert violations(model) == []
    assert {each.domain: each.version for each in model.opset_import} == {"": 18}
    transposed = sum(node.op_type == "ConvTranspose" for node in model.graph.node)
    assert transposed == (2 if lowering == "native" else 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network", ["segfast", "segfast_basic", "segfast_fast", "segnet", "fast_scnn", "lraspp_mobilenet_v3_large"]
)
def test_our_networks_are_what_tensorrt_reads(network):
    assert violations(exported(network)) == []


@functools.cache
def quantized(engine: str, lowering: str = "subpixel", kept_float: tuple[str, ...] = ()) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = PreparedNetwork(tiny_export.write_checkpoint(folder / "tiny.pt"))
        conversion = begin(source, ExportRequest("onnx", folder, lowering=lowering), onnx_export, folder, print)
        frames = list(np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), np.uint8))
        onnx_export.quantize(conversion.graph, conversion.draft, folder, Int8Recipe(frames, kept_float, engine))
        model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    return shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def int8_convolutions(model: onnx.ModelProto) -> int:
    dequantized = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return sum(node.op_type == "Conv" and node.input[0] in dequantized for node in model.graph.node)


@pytest.mark.parametrize("lowering", ["subpixel", "native"])
def test_int8_for_tensorrt_is_what_tensorrt_reads(lowering):
    model = quantized("tensorrt", lowering)
    assert violations(model) == []
    assert int8_convolutions(model) == (5 if lowering == "subpixel" else 3)


def test_a_layer_kept_float_has_no_pairs_for_tensorrt():
    model = quantized("tensorrt", kept_float=("network.down.0", "network.up_again"))
    assert violations(model) == []
    assert int8_convolutions(model) == 3


def test_int8_for_onnx_runtime_is_found_to_be_none_of_tensorrts():
    """Otherwise the rules above would find nothing."""
    found = violations(quantized("onnxruntime"))
    for said in (
        "Linear is not symmetric int8",
        "is stored as int32",
        "is stored as int8",
        "a pair stands before",
    ):
        assert any(said in each for each in found), said


def test_onnx_runtime_computes_every_convolution_and_activation_of_its_int8_in_integers(tmp_path):
    settings = onnxruntime.SessionOptions()
    settings.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    settings.log_severity_level = 3
    model = quantized("onnxruntime").SerializeToString()
    onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert kinds["QLinearConv"] == 5
    assert {"Conv", "FusedConv", "Relu"}.isdisjoint(kinds)
    # the normalised frame goes in, the classifier's result comes out; one input of the concatenation has another scale
    assert kinds["QuantizeLinear"] <= 3


def _spoiled(name: str) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(exported("tiny_export:decoder", "native", "labels"))
    nodes = {node.op_type: node for node in model.graph.node}
    if name == "operator":
        nodes["Relu"].op_type = "MaxUnpool"
    elif name == "antialias":
        next(each for each in nodes["Resize"].attribute if each.name == "antialias").i = 1
    elif name == "shape":
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"
    elif name == "uint8 into transpose":
        nodes["Transpose"].input[0] = model.graph.input[0].name
    elif name == "uint8 out of integers":
        wide = next(node for node in model.graph.node if node.output[0] == model.graph.node[-1].input[0])
        model.graph.node[-1].input[0] = wide.input[0]
    return model


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("operator", "MaxUnpool is not supported"),
        ("antialias", "Resize antialias 1"),
        ("shape", "frames has no fixed shape"),
        ("uint8 into transpose", "uint8 input goes into ['Cast', 'Transpose']"),
        ("uint8 out of integers", "uint8 output comes out of Cast"),
    ],
)
def test_what_tensorrt_does_not_read_is_found(name, says):
    assert says in violations(_spoiled(name))
