"""TorchScript files through torch: the one engine that needs torch, so no car bundle takes it unless asked.

A TorchScript file can hold code. The caller has held it to its manifest's SHA-256 before ``load`` is reached.
"""

import importlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segfast_edge.contract.layer_times import Layer
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.masks import RawOutput
from segfast_edge.contract.shared.allocator import keep_freed_memory
from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import TargetError
from targets.common.session import LayerTrace, Options, import_runtime, unreadable
from targets.common.trace import convolution_macs, typical_layers

_CONVOLUTION_ARGUMENTS = 13  # input, weights, bias, stride, padding, dilation, transposed, output padding, groups, ...


def runtime() -> ModuleType:
    """Import torch."""
    return import_runtime("torchscript")


def load(artifact: Path, manifest: Manifest, options: Options) -> "TorchScriptSession":
    """Load the module onto its device and freeze it, which folds what its file left open.

    On a processor the whole process keeps freed memory from then on: 5 to 30 MB more at the peak, and 90 MB more left
    after six reloads (segfast at 360x480, 431 of 340 MB), where it stays.
    """
    torch = runtime()
    path = artifact / manifest.model_file
    torch.set_num_threads(options.thread_count)
    device = _device(torch, options)
    if device == "cpu":
        keep_freed_memory()
    try:
        module = torch.jit.load(str(path), map_location=device).eval()
        precision = _precision(module)
        # optimize_for_inference would follow; on SegFast at 224x224, torch 2.13 and one Zen core it costs 30 % instead
        frozen = torch.jit.freeze(module)
        return TorchScriptSession(frozen, torch, precision, on_gpu=device == "cuda")
    except (RuntimeError, ValueError) as error:
        raise unreadable(path, "torchscript", error) from error


def _device(torch: ModuleType, options: Options) -> str:
    available = bool(torch.cuda.is_available())
    if not options.uses_gpu(available=available):
        return "cpu"
    if not available:
        raise TargetError(
            f"torch {torch.__version__} finds no CUDA GPU. On a Jetson install NVIDIA's build of torch for your"
            " JetPack, elsewhere a build with CUDA; or leave out --device cuda"
        )
    # TF32 has 10 bits of mantissa, which is not the float32 that parity was measured in
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return "cuda"


def layers(artifact: Path, manifest: Manifest, trace: LayerTrace) -> list[Layer]:
    """Time each operator that the graph calls by torch's profiler, which slows the short ones; on the processor only.

    What is left of ``forward`` is the interpreter's own time.
    """
    session = load(artifact, manifest, trace.options)
    if session.on_gpu:
        raise TargetError("layers of engine torchscript are timed on the processor only; add --device cpu")
    profiler = importlib.import_module("torch.profiler")

    def run() -> list[Layer]:
        with profiler.profile(activities=[profiler.ProfilerActivity.CPU], record_shapes=True) as traced:
            session.run(trace.batch)
        (whole,) = (event for event in traced.events() if event.name == "forward")
        called = [_layer(each, place) for place, each in enumerate(whole.cpu_children)]
        return [*called, Layer("forward", "forward", "interpreter", whole.self_cpu_time_total / 1000)]

    return typical_layers(run, trace.runs)


def _layer(event: Any, place: int) -> Layer:
    """Return one operator; of a convolution, which is most of the time, also its form and what it multiplies."""
    layer = Layer(f"{event.name} {place}", event.name, event.name, event.cpu_time_total / 1000)
    # in front of the arguments the profiler lists what else lay on the interpreter's stack
    shapes, values = (list(each or ())[-_CONVOLUTION_ARGUMENTS:] for each in (event.input_shapes, _values(event)))
    if (
        event.name != "aten::_convolution"
        or len(shapes) < _CONVOLUTION_ARGUMENTS
        or len(values) < _CONVOLUTION_ARGUMENTS
    ):
        return layer
    (frame, weights), (stride, padding, dilation, transposed, _, groups) = shapes[:2], values[3:9]
    size = "x".join(map(str, weights[2:]))
    form = "transposed" if transposed else "depthwise" if groups == frame[1] > 1 else ""
    steps = zip(frame[2:], weights[2:], padding, dilation, stride, strict=True)
    spatial = [(length + 2 * pad - spread * (taps - 1) - 1) // step + 1 for length, taps, pad, spread, step in steps]
    return replace(
        layer,
        kind=" ".join(filter(None, (event.name, form))),
        kernel=f"{size}, {frame[1]} channels at {'x'.join(map(str, frame[2:]))}",
        macs=convolution_macs(weights, frame[2:] if transposed else spatial),
    )


def _values(event: Any) -> Any:
    return getattr(event, "concrete_inputs", ())  # torch 2.2 has no such list yet


def _precision(module: Any) -> str:
    """Return the type of most weights: parameters, or constants once frozen; optimising makes them opaque."""
    sizes: Counter[str] = Counter()
    for weights in module.parameters():
        sizes[str(weights.dtype).removeprefix("torch.")] += weights.numel()
    graph = module.inlined_graph  # its nodes are only valid as long as it is held
    for node in graph.findAllNodes("prim::Constant"):
        if node.hasAttribute("value") and node.kindOf("value") == "t":
            weights = node.t("value")
            sizes[str(weights.dtype).removeprefix("torch.")] += weights.numel() * (weights.ndim > 1)
    return sizes.most_common(1)[0][0] if sizes else "none"


class TorchScriptSession:
    """A frozen module on the processor, or on the first GPU.

    ``gpu_ms`` is the last run's time there between two events, copies left out; None on the processor.
    """

    def __init__(self, module: Any, torch: ModuleType, precision: str, *, on_gpu: bool) -> None:
        self._module = module
        self._torch = torch
        self._precision = precision
        self.on_gpu = on_gpu
        self.gpu_ms: float | None = None

    def run(self, batch: Frame) -> RawOutput:
        """Run one batch without autograd, and wait for its result."""
        with self._torch.inference_mode():
            frames = self._torch.from_numpy(batch)
            output = self._run_on_gpu(frames) if self.on_gpu else self._module(frames)
        return np.array(output.numpy())

    def _run_on_gpu(self, frames: Any) -> Any:
        start, end = (self._torch.cuda.Event(enable_timing=True) for _ in range(2))
        there = frames.to("cuda")
        start.record()
        output = self._module(there)
        end.record()
        back = output.cpu()  # waits for the end
        self.gpu_ms = float(start.elapsed_time(end))
        return back

    def facts(self) -> Mapping[str, Any]:
        """Return the type of the weights, which is the type TorchScript computes in, and what it ran on."""
        versions = {"torch": str(self._torch.__version__), "numpy": np.__version__}
        facts = {"executed_precision": self._precision, "versions": versions}
        if not self.on_gpu:
            return facts
        cuda = self._torch.cuda
        versions["cuda-runtime"] = str(self._torch.version.cuda)
        capability = ".".join(map(str, cuda.get_device_capability()))
        return {**facts, "executed_device": f"{cuda.get_device_name()} (CUDA {capability})"}
