"""OpenVINO IR: float32 weights, names and metadata as model_api and Model Server read them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from segfast_edge.contract.formats import format_named
from segfast_edge.contract.layer_times import RESAMPLING
from segfast_edge.contract.manifest import Manifest
from segfast_edge.export.common.converter_errors import explained, quiet, writing
from segfast_edge.export.common.converter_packages import another, require
from segfast_edge.export.common.exporter import Int8Recipe
from segfast_edge.export.common.graph import Deployable
from segfast_edge.export.common.lowerings import Phases
from segfast_edge.export.common.metadata import INPUT, KEY, embedded_text, model_info, named

# SegFast's shipped weights at 224 x 224 on one thread of an x86-64 server CPU with AVX-512 VNNI under other load, least
# of 60 runs: float32 phases 19.2 ms, subpixel 25.2 ms; int8 phases 7.1 ms, subpixel 11.1 ms, most of which is grouped
# convolutions with four outputs a group (4.1 ms) and the interleaving of single values (1.7 ms, phases 0.1 ms)
LOWERINGS = {"float32": "phases", "int8": "phases"}
WEIGHTED = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul")


def export(graph: Deployable, manifest: Manifest, folder: Path) -> Manifest:
    """Write ``model.xml`` and ``model.bin``; return the manifest with the tensors' names.

    Raises:
        ConversionError: OpenVINO is not installed, or has no form for one of the network's operators.
    """
    manifest = named(manifest)
    _save(converted(graph), manifest, folder)
    return manifest


def quantize(graph: Deployable, manifest: Manifest, folder: Path, recipe: Int8Recipe) -> Manifest:
    """Write ``model.xml`` and ``model.bin`` in int8 through NNCF: weights per channel, activations per tensor.

    Raises:
        ConversionError: NNCF is not installed or fails.
    """
    require(format_named(manifest.format).integer_converter, "int8")
    import nncf

    manifest = named(manifest)
    advice = f"{another(manifest.format, integer=True)}, or leave --int8 out"
    model = converted(graph)
    names = {op.get_friendly_name(): _layer_of(op) for op in model.get_ops()}
    kept = [name for name, layer in names.items() if name.startswith(RESAMPLING) or recipe.keeps(layer)]
    with explained("NNCF cannot quantize this network", advice), quiet("nncf"):
        model = nncf.quantize(
            model,
            nncf.Dataset(recipe.frames, lambda frame: frame[np.newaxis]),
            subset_size=len(recipe.frames),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=kept),
            advanced_parameters=_advanced(),
        )
    one_range_for_phases(model, graph)
    _save(model, manifest, folder)
    return manifest


def _advanced() -> Any:
    """Return NNCF's finer settings: ranges that cut nothing off, and all 8 bits for the first layer's weights.

    By default ranges are the mean of the frames' extremes, and the first layer gets 7 bits, so that CPUs without VNNI
    do not overflow where they add pairs of products in 16 bits. Of the shipped weights the one that lost most on CamVid
    val, `camvid-standard-segfast` before its training for int8, lost 0.70 points of mIoU so (60 frames), 0.23 with the
    extremes of all frames, and 0.07 with 8 bits as well: also in the AVX2 kernels (ONEDNN_MAX_CPU_ISA=AVX2 on a CPU
    with VNNI), where the other layers could overflow alike. Two of the other three lose 0.1 and 0.3 points more so.
    """
    from nncf.quantization import advanced_parameters as advanced
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    return advanced.AdvancedQuantizationParameters(
        overflow_fix=advanced.OverflowFix.DISABLE,
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
    )


def _layer_of(op: Any) -> str:
    """Return the torch layer of an operator with weights, or an empty text."""
    return _module_of(op) if op.get_type_name() in WEIGHTED else ""


def _module_of(op: Any) -> str:
    """Return the torch module that an operator is of, which its friendly name begins with."""
    return str(op.get_friendly_name()).partition("/")[0].removeprefix("__module.")


def one_range_for_phases(model: Any, graph: Deployable) -> None:
    """Give the phases of each transposed convolution of ``graph`` one range for all their channels, in place.

    NNCF takes a range per channel for what a depthwise convolution reads, but OpenVINO carries integers through an
    interleaving only if all channels have one: else it computes that depthwise convolution in float.
    """
    interleaved = {name for name, layer in graph.lowered().named_modules() if isinstance(layer, Phases)}
    for concatenation in model.get_ops():
        if concatenation.get_type_name() != "Concat" or _module_of(concatenation) not in interleaved:
            continue
        phases = [source.get_source_output().get_node() for source in concatenation.inputs()]
        if {each.get_type_name() for each in phases} == {"FakeQuantize"}:
            _widen(phases)


def _widen(quantizers: list[Any]) -> None:
    """Set ranges to the union of them all, moved so that zero stays exact."""
    from openvino import opset13

    bounds = [[quantizer.input_value(place).get_node().get_data() for place in (1, 2)] for quantizer in quantizers]
    low, high = min(float(each[0].min()) for each in bounds), max(float(each[1].max()) for each in bounds)
    steps = max(quantizer.get_attributes()["levels"] for quantizer in quantizers) - 1
    step = (high - low) / steps
    if step > 0 and low < 0:
        below = round(-low / step)
        low, high = -below * step, (steps - below) * step
    for quantizer in quantizers:
        for place, value in ((1, low), (2, high), (3, low), (4, high)):
            quantizer.input(place).replace_source_output(opset13.constant(np.float32(value)).output(0))


def _save(model: Any, manifest: Manifest, folder: Path) -> None:
    import openvino

    describe(model, manifest)
    with writing(folder):
        openvino.save_model(model, folder / manifest.model_file, compress_to_fp16=False)


def converted(graph: Deployable) -> Any:
    """Return the ``openvino.Model`` of a graph, with a fixed shape and the names that the manifest will give."""
    import openvino

    example = graph.example_input()
    with (
        explained("OpenVINO cannot convert this network", another("openvino")),
        torch.no_grad(),
    ):
        lowered = graph.lowered(unpooling=False, resizing=False)
        model = openvino.convert_model(lowered, example_input=example, input=list(example.shape))
    for op in model.get_ops():
        if _module_of(op) == "doubled":
            op.set_friendly_name(RESAMPLING + op.get_friendly_name().removeprefix("__module."))
    model.get_parameters()[0].set_layout(openvino.Layout(graph.ends.input_layout))
    model.input(0).get_tensor().set_names({INPUT})
    model.output(0).get_tensor().set_names({graph.output_kind})
    return model


def describe(model: Any, manifest: Manifest) -> None:
    """Write the metadata into ``rt_info/model_info``."""
    for key, value in {**model_info(manifest), KEY: embedded_text(manifest)}.items():
        model.set_rt_info(value, ["model_info", key])
