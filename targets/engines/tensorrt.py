"""ONNX files through TensorRT: the engine is built on the GPU that runs it, once, and kept.

Nothing else is needed on the board: memory, copies and times go through the CUDA runtime that TensorRT needs anyway.
"""

import importlib.util
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segfast_edge.contract.layer_times import Layer
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.masks import RawOutput
from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import TargetError
from targets.common.cuda import Cuda, CudaStream, CudaTensor, Gpu
from targets.common.session import LayerTrace, Options, import_runtime
from targets.common.trace import typical_layers
from targets.engines._tensorrt_build import BuildSettings, Loaded, load_engine, precision_for, version_of

_NUMPY = {"UINT8": "uint8", "FLOAT": "float32", "HALF": "float16", "INT32": "int32", "INT64": "int64"}
_FLOATS = {"fp32": "float32", "float": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16"}
_TYPES = _FLOATS | {"bfloat16": "bfloat16", "int8": "int8"}
_TYPE_WORD = re.compile(rf"\b({'|'.join(_TYPES)})\b")
_WEIGHTED = ("Convolution", "Deconvolution", "FullyConnected", "MatrixMultiply")


def runtime() -> ModuleType:
    """Import tensorrt."""
    if importlib.util.find_spec("tensorrt") is None:
        raise TargetError(
            "tensorrt is missing. On a Jetson run: sudo apt install python3-libnvinfer (part of JetPack; a virtual"
            " environment sees it with --system-site-packages). On a PC with an NVIDIA GPU run: pip install tensorrt"
        )
    return import_runtime("tensorrt")


def load(artifact: Path, manifest: Manifest, options: Options) -> "TensorRtSession":
    """Load the engine that an earlier run built for this file, GPU and TensorRT, or build it.

    Raises:
        TargetError: TensorRT is too old, there is no GPU, the file's int8 is not for TensorRT, or TensorRT cannot
            build an engine of this network.
    """
    if manifest.precision == "int8" and manifest.provenance.get("engine") != "tensorrt":
        raise TargetError(
            "TensorRT does not read int8 that was written for ONNX Runtime. Convert again with --engine tensorrt, or"
            " run it with another --engine"
        )
    tensorrt = runtime()
    version = str(tensorrt.__version__)
    precision = precision_for(version_of(version), options.precision)
    # before anything of TensorRT's: without a GPU its objects are empty, and using one ends the process (11.4)
    cuda = Cuda.open()
    gpu = cuda.gpu()
    model = artifact / manifest.model_file
    holds_int8 = manifest.precision == "int8"
    recipe = BuildSettings.of(model, precision, holds_int8=holds_int8, tensorrt=version, gpu=gpu)
    return TensorRtSession(tensorrt, cuda, gpu, load_engine(tensorrt, cuda, recipe, model))


def layers(artifact: Path, manifest: Manifest, trace: LayerTrace) -> list[Layer]:
    """Time each layer by TensorRT's profiler, on the GPU. No multiply-accumulates: it reports no shape of weights."""
    session = load(artifact, manifest, trace.options)
    return typical_layers(lambda: session.traced(trace.batch), trace.runs)


class TensorRtSession:
    """One execution context with its tensors, and one stream.

    ``gpu_ms`` is what the last run took on the GPU, between its events around the network, copies left out.
    """

    def __init__(self, tensorrt: ModuleType, cuda: Cuda, gpu: Gpu, loaded: Loaded) -> None:
        self._tensorrt = tensorrt
        self._cuda = cuda
        self._gpu = gpu
        self._loaded = loaded
        self._context = loaded.engine.create_execution_context()
        if self._context is None:
            raise TargetError(f"TensorRT has no memory for this network; {cuda.free_bytes() >> 20} MiB are free")
        self._input, self._output = (self._tensor(mode) for mode in ("INPUT", "OUTPUT"))
        self._stream = CudaStream(cuda)
        self.gpu_ms: float | None = None

    def _tensor(self, mode: str) -> CudaTensor:
        """Allocate the one input or output, and tell the context where it is."""
        engine = self._loaded.engine
        names = [engine.get_tensor_name(place) for place in range(engine.num_io_tensors)]
        wanted = getattr(self._tensorrt.TensorIOMode, mode)
        (name,) = (each for each in names if engine.get_tensor_mode(each) == wanted)
        shape = tuple(map(int, engine.get_tensor_shape(name)))
        if min(shape) < 1:
            raise TargetError(f"tensor {name} of the model is {shape}; TensorRT runs fixed sizes only here")
        tensor = CudaTensor(self._cuda, shape, _NUMPY[engine.get_tensor_dtype(name).name])
        self._context.set_tensor_address(name, tensor.address)
        return tensor

    def run(self, batch: Frame) -> RawOutput:
        """Copy the input to the GPU, run, copy the output back, and wait for it."""
        np.copyto(self._input.host, batch)
        self._stream.to_gpu(self._input)
        self._stream.mark(0)
        started = self._context.execute_async_v3(self._stream.address)
        self._stream.mark(1)
        self._stream.from_gpu(self._output)
        self._stream.wait()
        if not started:
            raise TargetError("TensorRT did not run the network")
        self.gpu_ms = self._stream.marked_ms()
        return self._output.host.copy()

    def traced(self, batch: Frame) -> list[Layer]:
        """Run once and return what was executed, in order; slower than ``run``."""
        described = {layer["Name"]: layer for layer in described_layers(self._description())}
        executed: list[Layer] = []

        def report_layer_time(_: Any, name: str, milliseconds: float) -> None:
            said = described.get(name, {})
            executed.append(Layer(name, said.get("LayerType", "unknown"), said.get("TacticName", ""), milliseconds))

        base = self._tensorrt.IProfiler
        self._context.profiler = type("Profiler", (base,), {"report_layer_time": report_layer_time})()
        self.run(batch)
        return executed

    def _description(self) -> str:
        inspector = self._loaded.engine.create_engine_inspector()
        return str(inspector.get_engine_information(self._tensorrt.LayerInformationFormat.JSON))

    def facts(self) -> Mapping[str, Any]:
        """Read the types of the layers from the engine as it was built."""
        counts = layer_types(described_layers(self._description()))
        built_s = self._loaded.built_s
        return {
            "executed_precision": "+".join(sorted(counts)) or "unknown",
            "layer_precisions": dict(counts),
            "executed_device": f"{self._gpu.name} (CUDA {self._gpu.capability})",
            "plan": "kept" if built_s is None else f"built in {built_s:.1f} s",
            "versions": {
                "tensorrt": str(self._tensorrt.__version__),
                "cuda-runtime": self._cuda.version(),
                "numpy": np.__version__,
            },
        }


def described_layers(text: str) -> list[dict[str, Any]]:
    """Return the layers of what TensorRT's inspector says as JSON; none if it names them only."""
    said = json.loads(text)
    return [layer for layer in said.get("Layers", []) if isinstance(layer, dict)]


def layer_types(layers: list[dict[str, Any]]) -> Counter[str]:
    """Count the layers with weights by the type of their weights; if none has it, all layers by their inputs."""
    weighted = [layer for layer in layers if layer.get("ParameterType") in _WEIGHTED]
    types = [_type(str(layer.get("Weights", {}).get("Type", ""))) for layer in weighted]
    if not any(types):
        types = [_type(_tensor_type(layer)) for layer in layers]
    return Counter(name for name in types if name is not None)


def _tensor_type(layer: Mapping[str, Any]) -> str:
    """Return what is said of the type of a layer's first input: under one name until TensorRT 10, another since."""
    first: Mapping[str, Any] = next(iter(layer.get("Inputs", [])), {})
    return str(first.get("DataType", first.get("Format/Datatype", "")))


def _type(text: str) -> str | None:
    """Return the full name of the type in a description such as ``Row major linear FP32`` or ``Half``."""
    found = _TYPE_WORD.search(text.lower())
    return None if found is None else _TYPES[found[1]]
