"""ONNX files through ONNX Runtime on a CPU."""

import importlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segfast_edge.contract.images import Frame
from segfast_edge.contract.manifest import Manifest
from targets.common.session import Options, Output, import_runtime, refuse_precision, unreadable

FORMATS = ("onnx",)
PACKAGES = ("onnxruntime",)
MODULES = ("onnxruntime",)

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def runtime() -> ModuleType:
    """Import onnxruntime, its telemetry off: it would write files into the home folder on import."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return import_runtime(MODULES, PACKAGES)


def load(artifact: Path, manifest: Manifest, options: Options) -> "OnnxRuntimeSession":
    """Open the model with every graph optimisation and a fixed number of threads."""
    refuse_precision("onnxruntime", options)
    return OnnxRuntimeSession(artifact / manifest.model_file, manifest, options.thread_count)


def _open(path: Path, threads: int, trace: Path | None = None) -> Any:
    onnxruntime = runtime()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    if trace is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(trace)
    try:
        return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except _errors() as error:
        raise unreadable(path, "onnxruntime", error) from error


def _errors() -> tuple[type[Exception], ...]:
    """Return the runtime's own exception classes, which share no base but Exception."""
    native = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return tuple(each for each in vars(native).values() if isinstance(each, type) and issubclass(each, Exception))


class OnnxRuntimeSession:
    """One inference session."""

    def __init__(self, path: Path, manifest: Manifest, threads: int) -> None:
        self._session = _open(path, threads)
        self._path = path
        self._input = manifest.input
        self._name = self._session.get_inputs()[0].name

    def run(self, batch: Frame) -> Output:
        """Run one batch; the runtime allocates the output afresh each time."""
        return np.asarray(self._session.run(None, {self._name: batch})[0])

    def facts(self) -> Mapping[str, Any]:
        """Tell the precision from the kernels that a traced run of a second session executed."""
        counts: Counter[str] = Counter()
        for kernel in dict(self._trace()).values():
            if kernel.startswith("QLinear") or kernel.endswith("Integer") or kernel == "QGemm":
                counts["int8"] += kernel.removeprefix("QLinear").startswith(_WEIGHTED) or kernel == "QGemm"
            elif kernel.removeprefix("Fused").removeprefix("Nhwc") in _WEIGHTED:
                counts["float32"] += 1
        counts = +counts
        return {
            "executed_precision": "+".join(sorted(counts)) or "none",
            "layer_precisions": dict(counts),
            "versions": {"onnxruntime": runtime().__version__, "numpy": np.__version__},
        }

    def _trace(self) -> list[tuple[str, str]]:
        """Return (node, kernel) of everything executed in one run."""
        with tempfile.TemporaryDirectory(prefix="segfast-trace-") as folder:
            session = _open(self._path, 1, Path(folder) / "run")
            session.run(None, {self._name: np.zeros(self._input.shape, self._input.dtype)})
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        return [(e["name"], e["args"]["op_name"]) for e in events if e.get("cat") == "Node" and "op_name" in e["args"]]
