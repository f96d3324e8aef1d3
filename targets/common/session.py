"""An artifact opened by an engine: found by listing the engines, checked on the way in and on the way out."""

import importlib
import importlib.util
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

import numpy as np

from segfast_edge.contract.engines import engine_named, engine_names
from segfast_edge.contract.layer_times import Layer
from segfast_edge.contract.layouts import read_as
from segfast_edge.contract.manifest import Manifest, TensorSpec
from segfast_edge.contract.masks import RawOutput
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import ArtifactError, DataError, TargetError, unknown
from targets.common.cgroups import quota_cores, whole_cores

PRECISIONS = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}  # --precision -> its full name
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Options:
    """Options for opening an artifact; 0 threads means all usable ones, no precision means the engine's exact one.

    No ``device`` is the processor; with ``prefer_gpu`` a GPU if the engine and its runtime have one.
    """

    threads: int = 0
    precision: str | None = None
    device: str | None = None
    prefer_gpu: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.threads <= 1024:
            raise TargetError(f"{self.threads} threads; allowed are 1 to 1024, or 0 for all this process may use")
        if self.precision is not None and self.precision not in PRECISIONS:
            raise TargetError(unknown("precision", self.precision, PRECISIONS))
        if self.device is not None and self.device not in DEVICES:
            raise TargetError(unknown("device", self.device, DEVICES))

    @classmethod
    def of(cls, plan: ProfileOptions) -> "Options":
        """Return what a plan of measurement says of it."""
        return cls(plan.threads, plan.precision or None, plan.device or None)

    @property
    def thread_count(self) -> int:
        """The threads that an engine is to use."""
        return self.threads or usable_cores()

    def uses_gpu(self, *, available: bool) -> bool:
        """Say whether to run on a GPU, by what was asked for, what the target prefers and what there is."""
        return self.device == "cuda" or (self.device is None and self.prefer_gpu and available)


class Session(Protocol):
    """A model ready to run; the array ``run`` returns belongs to the caller."""

    def run(self, batch: Frame) -> RawOutput:
        """Run uint8 [1, H, W, 3] and return the network's raw output."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """Return ``executed_precision``, ``versions`` and, where it is not the processor, ``executed_device``.

        Where the runtime tells, ``executed_layers`` has name and precision of each layer with weights as it was
        executed, and ``layer_precisions`` how many have which.

        They are read back from the runtime, which may take long, so ask last. A session on a GPU that times itself
        also has an attribute ``gpu_ms``: what the last run took there, None if it is not known.
        """
        ...


class EngineModule(Protocol):
    """The interface of a module in ``targets/engines``; its descriptor is ``segfast_edge/contract/engines/NAME.py``."""

    def runtime(self) -> ModuleType:
        """Import the runtime; TargetError if it is missing."""
        ...

    def load(self, artifact: Path, manifest: Manifest, options: Options) -> Session:
        """Open a checked artifact."""
        ...

    def layers(self, artifact: Path, manifest: Manifest, trace: "LayerTrace") -> list[Layer]:
        """Time each layer in a session of its own, which tracing slows; only in an engine with ``layers``.

        Raises:
            TargetError: the runtime cannot, for example in this release.
        """
        ...


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """A trace to take: the options the session would have, one input, and how many runs to take the mean of."""

    options: Options
    batch: RawOutput  # as the model takes it
    runs: int


def executed_layers(layers: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the facts that follow from the names and precisions of the layers with weights, in order."""
    named = list(layers)
    counts = Counter(precision for _, precision in named)
    return {
        "executed_precision": "+".join(sorted(counts)) or "none",
        "layer_precisions": dict(counts),
        "executed_layers": [list(each) for each in named],
    }


def usable_cores(root: Path = Path("/")) -> int:
    """Return how many cores this process may keep busy: by its affinity, and by the quota of its control groups."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return whole_cores(quota_cores(root), cores)


def engine(name: str) -> EngineModule:
    """Return the module of the engine ``name``, its runtime not yet imported."""
    engine_named(name)
    return cast(EngineModule, importlib.import_module(f"targets.engines.{name}"))


def installed(name: str) -> bool:
    """Say whether an engine's runtime is there, without importing it."""
    modules = engine_named(name).modules
    return not modules or any(map(_found, modules))


def _found(module: str) -> bool:
    # find_spec imports the parents of a dotted name; the top level is enough to know
    return importlib.util.find_spec(module.partition(".")[0]) is not None


def import_runtime(name: str) -> ModuleType:
    """Import an engine's runtime: the first of its modules that is there.

    Raises:
        TargetError: none is there, or it does not import on this machine.
    """
    wanted = engine_named(name)
    for module in wanted.modules:
        if _found(module):
            try:
                return importlib.import_module(module)
            except ImportError as error:
                raise TargetError(f"{module} is installed but cannot be imported: {first_line(error)}") from error
    choices = " or ".join(f"pip install {shlex.join(packages)}" for packages in wanted.packages)
    raise TargetError(f"{wanted.modules[0]} is missing. Run: {choices}")


def first_line(error: BaseException) -> str:
    """Return the first line with text in an error's message, or its type's name."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def refuse(name: str, options: Options) -> None:
    """Raise TargetError if an engine is asked for a precision or device that it does not have."""
    asked = engine_named(name)
    if options.precision is not None and not asked.precisions:
        able = [each for each in engine_names() if engine_named(each).precisions]
        raise TargetError(
            f"engine {name} runs the precision that the file holds; --precision is for {' and '.join(able)}"
        )
    if options.device == "cuda" and asked.gpu == "never":
        able = [each for each in engine_names() if engine_named(each).gpu != "never"]
        raise TargetError(f"engine {name} runs on the processor; --device cuda is for {', '.join(able)}")
    if options.device == "cpu" and asked.gpu == "only":
        raise TargetError(f"engine {name} runs on an NVIDIA GPU only; leave --device cpu out, or name another --engine")


def unreadable(path: Path, name: str, error: Exception) -> ArtifactError:
    """Return the error of an engine that cannot open a file."""
    return ArtifactError(f"engine {name} cannot open {path}: {first_line(error)}")


@dataclass(frozen=True, slots=True)
class CheckedSession:
    """A session held to its manifest: DataError for a wrong input, TargetError for an output of another kind."""

    session: Session
    manifest: Manifest
    engine: str

    def run(self, batch: Frame) -> RawOutput:
        """Run one batch, checked before and after."""
        wanted = (1, *self.manifest.preprocess.size, 3)
        if not isinstance(batch, np.ndarray) or batch.dtype != np.uint8 or batch.shape != wanted:
            raise DataError(f"input is {_kind(batch)}; expected uint8 {wanted}, the network's own size")
        output = self.session.run(batch)
        promised = read_as(self.manifest.output)
        if not _fits(output, promised):
            raise TargetError(
                f"engine {self.engine} gave {_kind(output)}; the manifest says {promised.dtype} {promised.shape}"
            )
        return output

    def facts(self) -> Mapping[str, Any]:
        """Return what the session underneath says."""
        return self.session.facts()


def _fits(array: RawOutput, spec: TensorSpec) -> bool:
    return array.dtype.name == spec.dtype and array.shape == spec.shape


def _kind(array: object) -> str:
    if isinstance(array, np.ndarray):
        return f"{array.dtype} {array.shape}"
    return type(array).__name__
