"""Building a TensorRT engine from an ONNX file on the GPU that will run it, and keeping the plan for the next start.

The names used here are those of the Python bindings of TensorRT 8.6 (JetPack 6.0), 10 (JetPack 6.1 to 7) and 11.
"""

import contextlib
import ctypes
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from segfast_edge.contract.shared.files import sha256, user_cache_folder
from segfast_edge.errors import TargetError
from targets.common import result_cache
from targets.common.cuda import Cuda, Gpu
from targets.common.session import PRECISIONS

log = logging.getLogger("segfast.tensorrt")

OLDEST = (8, 6)  # the first with uint8 inputs and outputs on a JetPack whose Python we run on
_ALWAYS_STRONGLY_TYPED = 11  # from here on the file alone decides about precision
_ALWAYS_EXPLICIT_BATCH = 10  # an option before; since 11 its flag is gone
_LARGEST_WORKSPACE = 1 << 30
_OTHERWISE = "Run it with another --engine, or convert again with another --lowering"


def version_of(text: str) -> tuple[int, int]:
    """Return the first two numbers of TensorRT's version; TargetError for one that is too old."""
    found = re.match(r"(\d+)\.(\d+)", text)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise TargetError(f"TensorRT {text} is too old; {oldest} or newer is needed (JetPack 6)")
    return version


def precision_for(version: tuple[int, int], asked: str | None) -> str:
    """Return the floating-point type to build with, by its full name.

    Raises:
        TargetError: TensorRT does not build an engine of that precision from our files.
    """
    if asked in (None, "f32"):
        return PRECISIONS["f32"]
    if asked != "f16":
        raise TargetError(f"engine tensorrt builds f32 and f16, not {asked}")
    if version[0] >= _ALWAYS_STRONGLY_TYPED:
        raise TargetError(
            f"TensorRT {version[0]} takes the precision from the file, which holds float32; --precision f16 needs"
            " TensorRT 8.6 to 10"
        )
    return PRECISIONS["f16"]


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """All that decides what a plan is: the file, the types to compute in, TensorRT's full version and the GPU."""

    model_sha256: str
    precision: str
    holds_int8: bool
    tensorrt: str
    gpu: Gpu

    @classmethod
    def of(cls, model: Path, precision: str, *, holds_int8: bool, tensorrt: str, gpu: Gpu) -> "BuildSettings":
        """Describe the plan of the file ``model``."""
        return cls(sha256(model), precision, holds_int8, tensorrt, gpu)

    def facts(self) -> dict[str, str]:
        """Return what a kept plan has to match in every value."""
        gpu = {f"gpu_{name}": value for name, value in asdict(self.gpu).items()}
        own = {name: str(getattr(self, name)) for name in ("model_sha256", "precision", "holds_int8", "tensorrt")}
        return own | gpu

    def plan_name(self) -> str:
        """Return the plan's file name. A new TensorRT has the same one, so that it takes the old plan's place."""
        return f"{self.model_sha256[:16]}-{self.precision}-{_plain(self.gpu.name)}.plan"

    def timing_facts(self) -> dict[str, str]:
        """Return what kept kernel timings have to match; they serve every model."""
        return {name: value for name, value in self.facts().items() if name == "tensorrt" or name.startswith("gpu_")}

    def timing_name(self) -> str:
        """Return the file name of the kernel timings."""
        return f"timing-{_plain(self.gpu.name)}.cache"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "gpu"


class Messages:
    """TensorRT's logger: errors are remembered for the one line that ends the run, everything is logged."""

    def __init__(self, tensorrt: ModuleType) -> None:
        self.errors: list[str] = []
        severity = tensorrt.ILogger.Severity
        severe = (severity.INTERNAL_ERROR, severity.ERROR)

        def write(_: Any, level: Any, message: str) -> None:
            if level in severe:
                self.errors.append(message)
            log.debug("%s", message)

        # a subclass made here, because its base is there only once tensorrt is imported
        self.logger: Any = type("Logger", (tensorrt.ILogger,), {"log": write})()

    def first_error(self) -> str:
        """Return the first error in one line."""
        return " ".join(self.errors[0].split()) if self.errors else "it gave no reason"

    def start(self, make: Callable[[Any], Any]) -> Any:
        """Make a ``Runtime`` or ``Builder`` that logs here.

        Raises:
            TargetError: TensorRT cannot use the GPU.
        """
        try:
            made = make(self.logger)
        except TypeError as error:  # what its bindings make of a null pointer
            raise TargetError(f"TensorRT does not start: {self.first_error()}") from error
        if self.errors:
            # TensorRT 11.4 gives an empty object then; to use it, or to let it go, ends the process
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))
            raise TargetError(f"TensorRT does not start: {self.first_error()}")
        return made


@dataclass(frozen=True, slots=True)
class Loaded:
    """An engine ready for an execution context, and the seconds that building it took; None if it was kept."""

    engine: Any
    runtime: Any  # has to outlive the engine
    built_s: float | None


def load_engine(tensorrt: ModuleType, cuda: Cuda, recipe: BuildSettings, model: Path) -> Loaded:
    """Load the kept plan of ``recipe``, or build one from the ONNX file ``model`` and keep it.

    Raises:
        TargetError: TensorRT cannot read the model, or cannot build an engine of it.
    """
    messages = Messages(tensorrt)
    runtime = messages.start(tensorrt.Runtime)
    folder = user_cache_folder()
    path = folder / "tensorrt" / recipe.plan_name() if folder is not None else None
    plan = result_cache.find(path, recipe.facts()) if path is not None else None
    if plan is not None:
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is not None:
            return Loaded(engine, runtime, None)
        log.info("the cached plan %s does not load (%s) and is built again", path, messages.first_error())
        messages.errors.clear()
    log.warning("building a TensorRT engine of %s for this GPU; it takes minutes on a small board, once", model)
    start = time.perf_counter()
    plan = _Builder(tensorrt, recipe, messages).build(model, cuda)
    built_s = time.perf_counter() - start
    if path is not None:
        result_cache.keep(path, recipe.facts(), plan)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise TargetError(f"TensorRT {recipe.tensorrt} does not load what it built: {messages.first_error()}")
    return Loaded(engine, runtime, built_s)


class _Builder:
    """One build."""

    def __init__(self, tensorrt: ModuleType, recipe: BuildSettings, messages: Messages) -> None:
        self._tensorrt = tensorrt
        self._recipe = recipe
        self._messages = messages
        self._major = version_of(recipe.tensorrt)[0]

    def build(self, model: Path, cuda: Cuda) -> bytes:
        builder = self._messages.start(self._tensorrt.Builder)
        network = builder.create_network(self._network_flags())
        self._parse(network, model)
        config = builder.create_builder_config()
        self._configure(config, cuda)
        with self._timings(config):
            plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise TargetError(
                f"TensorRT {self._recipe.tensorrt} cannot build an engine of {model}: {self._messages.first_error()}."
                f" {_OTHERWISE}"
            )
        return bytes(plan)

    def _network_flags(self) -> int:
        if self._major >= _ALWAYS_EXPLICIT_BATCH:
            return 0
        return 1 << int(self._tensorrt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)

    def _parse(self, network: Any, model: Path) -> None:
        parser = self._tensorrt.OnnxParser(network, self._messages.logger)
        if not parser.parse_from_file(str(model)):
            said = _parser_error(parser.get_error(0)) if parser.num_errors else self._messages.first_error()
            raise TargetError(f"TensorRT {self._recipe.tensorrt} cannot read {model}: {said}. {_OTHERWISE}")

    def _configure(self, config: Any, cuda: Cuda) -> None:
        flags = self._tensorrt.BuilderFlag
        config.clear_flag(flags.TF32)  # 10 bits of mantissa would not be the float32 that parity was measured in
        if self._major < _ALWAYS_STRONGLY_TYPED:
            if self._recipe.precision == PRECISIONS["f16"]:
                config.set_flag(flags.FP16)
            if self._recipe.holds_int8:
                config.set_flag(flags.INT8)  # allows it; the file's quantization nodes say where
        workspace = min(_LARGEST_WORKSPACE, cuda.free_bytes() // 4)
        config.set_memory_pool_limit(self._tensorrt.MemoryPoolType.WORKSPACE, workspace)
        config.profiling_verbosity = self._tensorrt.ProfilingVerbosity.DETAILED  # layers tell their types

    @contextlib.contextmanager
    def _timings(self, config: Any) -> Iterator[None]:
        """Give the builder what kernels took in earlier builds, and keep what this one adds."""
        folder = user_cache_folder()
        if folder is None:
            yield
            return
        path, facts = folder / "tensorrt" / self._recipe.timing_name(), self._recipe.timing_facts()
        config.set_timing_cache(config.create_timing_cache(result_cache.find(path, facts) or b""), False)
        yield
        result_cache.keep(path, facts, bytes(config.get_timing_cache().serialize()))


def _parser_error(error: Any) -> str:
    """Return where the parser stopped and why; the node's name is told since TensorRT 10."""
    named = f" ({error.node_operator()} {error.node_name()})" if hasattr(error, "node_operator") else ""
    return f"node {error.node()}{named}: {' '.join(str(error.desc()).split())}"
