"""ONNX, opset 18: for ONNX Runtime, for OpenVINO, and for TensorRT to build its engine from on the device."""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from segfast_edge.contract.formats import format_named
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import ConversionError
from segfast_edge.export.common.converter_errors import explained, quiet, writing
from segfast_edge.export.common.converter_packages import another, require
from segfast_edge.export.common.exporter import Int8Recipe
from segfast_edge.export.common.graph import Deployable
from segfast_edge.export.common.metadata import INPUT, KEY, embedded_text, model_info, named

# SegFast's shipped weights at 224 x 224, one thread of an x86-64 server CPU with AVX-512 VNNI under other load.
# float32 (``--tune``, three rounds, medians spread twofold): native 28 ms, subpixel 37 ms, the others over 39 ms. int8
# (processor time per run): native 14.3 ms, its transposed convolutions in float, phases 19.8 ms, subpixel 26.2 ms. For
# TensorRT it is not a matter of speed: it has no grouped transposed convolution in int8
LOWERINGS = {"float32": "native", "int8": "native", "tensorrt": "subpixel"}
OPSET = 18
NAME_SCOPES = "pkg.torch.onnx.name_scopes"  # where the exporter says which module a node came from, the node last
WEIGHTED = ["Conv", "Gemm", "MatMul"]
MOVED = ["AveragePool", "Clip", "Concat", "DepthToSpace", "GlobalAveragePool", "MaxPool", "Relu"]


def export(graph: Deployable, manifest: Manifest, folder: Path) -> Manifest:
    """Write ``model.onnx``; return the manifest with the tensors' names.

    Raises:
        ConversionError: the exporter has no form for one of the network's operators.
    """
    manifest = named(manifest)
    _save(converted(graph), manifest, folder)
    return manifest


def quantize(graph: Deployable, manifest: Manifest, folder: Path, recipe: Int8Recipe) -> Manifest:
    """Write ``model.onnx`` in int8 as ``recipe.engine`` executes it best: QDQ pairs, weights per channel.

    ONNX Runtime and TensorRT want opposite things; see ``_for_onnxruntime`` and ``_for_tensorrt``. Transposed
    convolutions stay float unless ``graph.lowering`` makes them convolutions: TensorRT has no grouped one in int8.

    Raises:
        ConversionError: ONNX Runtime is not installed or fails.
    """
    written = format_named(manifest.format)
    require(written.integer_engines[:1], written.extra)
    import onnx
    from onnxruntime import quantization

    manifest = named(manifest)
    model = converted(graph)
    advice = another(manifest.format, integer=True)
    scheme = _for_tensorrt() if recipe.engine == "tensorrt" else _for_onnxruntime()
    # ranges averaged over frames: with the extremes of all frames SegFast lost 1.3 points of mIoU on CamVid
    # val (100 calibration frames), averaged 0.3. In OpenVINO it is the other way round for the weights that lose
    # most; a likely reason is that a depthwise convolution's input has one range here and one per channel there
    scheme["extra_options"] |= {"WeightSymmetric": True, "CalibMovingAverage": True}
    with (
        TemporaryDirectory(prefix="segfast-quantize-") as name,
        explained("ONNX Runtime cannot quantize this network", advice),
        quiet("root"),
    ):
        whole, quantized = Path(name) / "float.onnx", Path(name) / "int8.onnx"
        onnx.save(model, whole)
        quantization.quantize_static(
            whole,
            quantized,
            _Frames(recipe.frames),
            quant_format=quantization.QuantFormat.QDQ,
            nodes_to_exclude=[node.name for node in model.graph.node if recipe.keeps(node.name.partition("/")[0])],
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            **scheme,
        )
        model = onnx.load(quantized)
    _save(model, manifest, folder)
    return manifest


def _for_onnxruntime() -> dict[str, Any]:
    """Return options for ONNX Runtime's integer kernels: uint8 with a zero point, everything between in integers.

    With zero at the bottom of its range a ReLU is the rounding itself, and goes. In SegFast at 224x224, its transposed
    convolutions as sub-pixel ones, all 46 convolutions then run in int8 and take 26 ms of processor time (one thread,
    x86-64 with AVX-512 VNNI); symmetric int8 left 16 of them and 45 ReLUs in float and took 35 ms.
    """
    from onnxruntime.quantization import QuantType

    return {"op_types_to_quantize": WEIGHTED + MOVED, "activation_type": QuantType.QUInt8, "extra_options": {}}


def _for_tensorrt() -> dict[str, Any]:
    """Return options for what TensorRT reads: symmetric int8, weights as float with a pair of their own, float biases.

    Pairs stand before what has weights and nowhere else: TensorRT moves them past what only moves values, and one
    after a convolution would keep the ReLU from being fused with it ("Explicit Quantization" in its documents).
    """
    from onnxruntime.quantization import QuantType

    extra = {"ActivationSymmetric": True, "AddQDQPairToWeight": True, "QuantizeBias": False}
    return {
        "op_types_to_quantize": WEIGHTED,
        "activation_type": QuantType.QInt8,
        "extra_options": extra | {"OpTypesToExcludeOutputQuantization": WEIGHTED},
    }


class _Frames:
    """Calibration frames as ONNX Runtime asks for them."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._left = iter(frames)

    def get_next(self) -> dict[str, Frame] | None:
        """Return the next feed, or None after the last."""
        frame = next(self._left, None)
        return None if frame is None else {INPUT: frame[np.newaxis]}


def _save(model: Any, manifest: Manifest, folder: Path) -> None:
    import onnx

    describe(model, manifest)
    with writing(folder):
        onnx.save(model, folder / manifest.model_file)


def converted(graph: Deployable) -> Any:
    """Return the checked ``onnx.ModelProto`` of a graph."""
    import onnx

    advice = another("onnx")
    lowered = graph.lowered(unpooling=False)
    with (
        explained("torch cannot export this network to ONNX", advice),
        quiet("torch.onnx"),
        torch.no_grad(),
        _AttentionOverFourAxes(),
    ):
        program = torch.onnx.export(
            lowered,
            (graph.example_input(),),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[graph.output_kind],
        )
    assert program is not None, "dynamo=True returns the program"
    model = program.model_proto
    _forget_source(model)
    _cast_for_tensorrt(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"the exported ONNX model is not valid: {str(error).partition(chr(10))[0]}") from error
    return model


class _AttentionOverFourAxes(TorchFunctionMode):
    """Gives attention over three axes a fourth: torch's exporter has no form for three (torch 2.13)."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is F.scaled_dot_product_attention and len(args) >= 3 and args[0].ndim == 3:
            parts = (part.unsqueeze(0) for part in args[:3])  # a mask fits both by broadcasting
            return func(*parts, *args[3:], **(kwargs or {})).squeeze(0)
        return func(*args, **(kwargs or {}))


def describe(model: Any, manifest: Manifest) -> None:
    """Write the metadata into ``metadata_props``."""
    from segfast_edge import __version__

    model.producer_name, model.producer_version = "segfast-edge", __version__
    properties = {
        "labels": "\n".join(manifest.classes.names),
        KEY: embedded_text(manifest),
        **{f"model_info {key}": value for key, value in model_info(manifest).items()},
    }
    for key, value in properties.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value


def _forget_source(model: Any) -> None:
    """Name nodes after their layers and drop the source lines, with this machine's paths, that the exporter leaves."""
    for node in model.graph.node:
        scopes = next((entry.value for entry in node.metadata_props if entry.key == NAME_SCOPES), "[]")
        layers = [scope for scope in ast.literal_eval(scopes) if scope]
        node.name = f"{layers[-2]}/{node.name}" if len(layers) > 1 else node.name
    for holder in (model, model.graph, *model.graph.node, *model.graph.initializer, *model.graph.value_info):
        del holder.metadata_props[:]
        holder.doc_string = ""
    _name_values(model)


def _name_values(model: Any) -> None:
    """Name what a layer gives after it: ONNX Runtime calls a node that it rewrites by its output."""
    kept = {value.name for value in model.graph.output}
    names = {
        value: f"{node.name.rpartition('/')[0]}/{value}"
        for node in model.graph.node
        for value in node.output
        if "/" in node.name and value not in kept
    }
    for node in model.graph.node:
        node.input[:] = [names.get(value, value) for value in node.input]
        node.output[:] = [names.get(value, value) for value in node.output]
    for value in model.graph.value_info:
        value.name = names.get(value.name, value.name)


def _cast_for_tensorrt(model: Any) -> None:
    """Give uint8 labels by way of float32: TensorRT casts to uint8 from floating point only. Labels are exact in it."""
    import onnx

    for place, node in enumerate(model.graph.node):
        target = next((each.i for each in node.attribute if each.name == "to"), None)
        if node.op_type == "Cast" and target == onnx.TensorProto.UINT8:
            wide = f"{node.input[0]}_float32"
            to_float = onnx.helper.make_node("Cast", [node.input[0]], [wide], to=onnx.TensorProto.FLOAT)
            node.input[0] = wide
            model.graph.node.insert(place, to_float)
            return
