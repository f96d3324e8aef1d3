"""TorchScript files through torch: the one engine that needs torch, so no car bundle takes it unless asked.

A TorchScript file can hold code. The caller has held it to its manifest's SHA-256 before ``load`` is reached.
"""

import importlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segfast_edge.contract.images import Frame
from segfast_edge.contract.layers import Layer
from segfast_edge.contract.manifest import Manifest
from targets.common.session import Options, Output, Trace, import_runtime, refuse_precision, unreadable
from targets.common.trace import typical_layers

FORMATS = ("torchscript",)
PACKAGES = ("torch",)
MODULES = ("torch",)


def runtime() -> ModuleType:
    """Import torch."""
    return import_runtime(MODULES, PACKAGES)


def load(artifact: Path, manifest: Manifest, options: Options) -> "TorchScriptSession":
    """Load the module and freeze it, which folds what its file left open."""
    refuse_precision("torchscript", options)
    torch = runtime()
    path = artifact / manifest.model_file
    torch.set_num_threads(options.thread_count)
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()
        precision = _precision(module)
        # optimize_for_inference would follow; on SegFast at 224x224, torch 2.13 and one Zen core it costs 30 % instead
        return TorchScriptSession(torch.jit.freeze(module), torch, precision)
    except (RuntimeError, ValueError) as error:
        raise unreadable(path, "torchscript", error) from error


def layers(artifact: Path, manifest: Manifest, trace: Trace) -> list[Layer]:
    """Time each operator that the graph calls by torch's profiler, which slows the short ones.

    What is left of ``forward`` is the interpreter's own time. No multiply-accumulates: the profiler tells no shape
    of an output.
    """
    session = load(artifact, manifest, trace.options)
    profiler = importlib.import_module("torch.profiler")

    def run() -> list[Layer]:
        with profiler.profile(activities=[profiler.ProfilerActivity.CPU]) as traced:
            session.run(trace.batch)
        (whole,) = (event for event in traced.events() if event.name == "forward")
        called = [
            Layer(f"{each.name} {place}", each.name, each.name, each.cpu_time_total / 1000)
            for place, each in enumerate(whole.cpu_children)
        ]
        return [*called, Layer("forward", "forward", "interpreter", whole.self_cpu_time_total / 1000)]

    return typical_layers(run, trace.runs)


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
    """A frozen module on the CPU."""

    def __init__(self, module: Any, torch: ModuleType, precision: str) -> None:
        self._module = module
        self._torch = torch
        self._precision = precision

    def run(self, batch: Frame) -> Output:
        """Run one batch without autograd."""
        with self._torch.inference_mode():
            output = self._module(self._torch.from_numpy(batch))
        return np.array(output.numpy())

    def facts(self) -> Mapping[str, Any]:
        """Return the type of the weights, which is the type TorchScript computes in."""
        versions = {"torch": str(self._torch.__version__), "numpy": np.__version__}
        return {"executed_precision": self._precision, "versions": versions}
