"""Each tool's own default path, from the network as it is: nothing folded, nothing lowered, no option of ours.

Both sides convert the same task, a uint8 frame to uint8 labels, so that their times hold the same work.
"""

import contextlib
import io
import shutil
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from segfast_edge.contract.shared.endings import failure
from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import ConversionError
from segfast_edge.export.common.converter_errors import explained, quiet
from segfast_edge.export.common.converter_packages import require
from segfast_edge.export.common.graph import Deployable
from segfast_edge.model.checkpoint import Checkpoint

INPUT = "frames"
ROOT = Path(__file__).resolve().parents[2]


class Untouched(Deployable):
    """Normalisation, the network as its author wrote it, and argmax as anybody would write it."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Compute labels of uint8 frames, 1 x H x W x 3."""
        return self.logits(frames).argmax(1).to(torch.uint8)


def untouched(checkpoint: Checkpoint) -> Untouched:
    """Return the graph that every default path and eager torch start from."""
    return Untouched(checkpoint.module(), checkpoint.preprocess, checkpoint.classes)


def torchscript(checkpoint: Path, path: Path) -> None:
    """Trace and save."""
    graph = untouched(Checkpoint.load(checkpoint))
    with explained("torch.jit.trace", "No default path then"):
        torch.jit.save(torch.jit.trace(graph, graph.example()), str(path))


def openvino(checkpoint: Path, path: Path, frames: Sequence[Frame] = ()) -> None:
    """``ov.convert_model`` with the example's shape; with frames, ``nncf.quantize`` as it is."""
    import openvino as ov

    graph = untouched(Checkpoint.load(checkpoint))
    example = graph.example()
    with explained("OpenVINO", "No default path then"), quiet("nncf"):
        model = ov.convert_model(graph, example_input=example, input=list(example.shape))
        if frames:
            import nncf

            model = nncf.quantize(model, nncf.Dataset(frames, lambda frame: frame[np.newaxis]))
        ov.save_model(model, path, compress_to_fp16=False)


def onnx(checkpoint: Path, path: Path, frames: Sequence[Frame] = ()) -> None:
    """``torch.onnx.export``; with frames, ``quant_pre_process`` and ``quantize_static`` as they are."""
    graph = untouched(Checkpoint.load(checkpoint))
    with (
        TemporaryDirectory(prefix="segfast-default-") as name,
        explained("ONNX", "No default path then"),
        quiet("torch.onnx"),
        quiet("root"),
    ):
        whole = Path(name) / "float.onnx"
        torch.onnx.export(
            graph, (graph.example(),), str(whole), input_names=[INPUT], dynamo=True, external_data=False, verbose=False
        )
        if not frames:
            shutil.copyfile(whole, path)
            return
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process

        prepared = Path(name) / "prepared.onnx"
        quant_pre_process(str(whole), str(prepared))
        quantization.quantize_static(str(prepared), str(path), _Frames(frames))


class _Frames:
    """Frames as ONNX Runtime asks for them."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._left = iter(frames)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next feed, or None after the last."""
        frame = next(self._left, None)
        return None if frame is None else {INPUT: frame[np.newaxis]}


def tflite(checkpoint: Path, path: Path, python: Path, *, lowering: str = "native") -> None:
    """litert-torch, in the interpreter that has it."""
    words = [str(python), "-m", "benchmarks.converter_race.litert_default", str(checkpoint), str(path), lowering]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        telling = [line for line in said if "error:" in line.lower()] or [failure("it", done.returncode, done.stderr)]
        raise ConversionError(f"litert-torch: {telling[-1][:300]}")


def tflite_int8(whole: Path, path: Path, frames: Sequence[Frame]) -> None:
    """ai-edge-quantizer's ``static_wi8_ai8`` on litert-torch's float file."""
    require("ai-edge-quantizer", "int8")
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import Quantizer, recipe

    if not whole.is_file():
        raise ConversionError("litert-torch gave no float file to quantize")
    with (
        explained("ai-edge-quantizer", "No default path then"),
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),  # its bar
    ):
        warnings.simplefilter("ignore")
        ((signature, tensors),) = Interpreter(str(whole)).get_signature_list().items()
        quantizer = Quantizer(str(whole), recipe.static_wi8_ai8())
        seen = quantizer.calibrate({signature: [{tensors["inputs"][0]: frame[np.newaxis]} for frame in frames]})
        quantizer.quantize(seen).export_model(str(path))
