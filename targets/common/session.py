"""An artifact opened by an engine: found by listing the engines, checked on the way in and on the way out."""

import importlib
import importlib.util
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from segfast_edge.contract.images import Frame
from segfast_edge.contract.layers import Layer
from segfast_edge.contract.manifest import Manifest, TensorSpec
from segfast_edge.contract.plan import Plan
from segfast_edge.errors import ArtifactError, DataError, TargetError, unknown
from targets.common.cgroups import quota_cores, whole_cores

PRECISIONS = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}  # --precision -> its full name
DEVICES = ("cpu", "cuda")
_ENGINES = Path(__file__).parent.parent / "engines"

Output = npt.NDArray[Any]  # uint8 labels [1, H, W] or float32 logits [1, H, W, classes]


@dataclass(frozen=True, slots=True)
class Options:
    """How to open an artifact; 0 threads mean all that this process may use, no precision the engine's exact one.

    No ``device`` is the processor; with ``prefer_gpu`` a GPU where the engine and its runtime have one.
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
    def of(cls, plan: Plan) -> "Options":
        """Return what a plan of measurement says of it."""
        return cls(plan.threads, plan.precision or None, plan.device or None)

    @property
    def thread_count(self) -> int:
        """The threads an engine is told to use."""
        return self.threads or usable_cores()

    def uses_gpu(self, *, available: bool) -> bool:
        """Say whether to run on a GPU, by what was asked for, what the target prefers and what there is."""
        return self.device == "cuda" or (self.device is None and self.prefer_gpu and available)


class Session(Protocol):
    """A model ready to run; the array ``run`` returns belongs to the caller."""

    def run(self, batch: Frame) -> Output:
        """Run uint8 [1, H, W, 3] and return the network's raw output."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """Return ``executed_precision``, ``versions`` and, where it is not the processor, ``executed_device``.

        Where the runtime tells, ``executed_layers`` has name and precision of each layer with weights as it was
        executed, and ``layer_precisions`` how many have which.

        They are read back from the runtime, which may take long, so ask last. A session on a GPU that times itself
        also has an attribute ``gpu_ms``: what the last run took there, None where it is not known.
        """
        ...


class Engine(Protocol):
    """What a module in ``targets/engines`` has."""

    FORMATS: tuple[str, ...]  # artifact formats it opens
    PACKAGES: tuple[str, ...]  # what to pip install, the best first
    MODULES: tuple[str, ...]  # any one of them importable will do; empty: nothing is needed

    def runtime(self) -> ModuleType:
        """Import the runtime; TargetError where it is missing."""
        ...

    def load(self, artifact: Path, manifest: Manifest, options: Options) -> Session:
        """Open a checked artifact."""
        ...

    def layers(self, artifact: Path, manifest: Manifest, trace: "Trace") -> list[Layer]:
        """Time each layer in a session of its own, which tracing slows; TargetError where the runtime cannot."""
        ...


@dataclass(frozen=True, slots=True)
class Trace:
    """What to trace: the options the session would have, one input, and how many runs to take the mean of."""

    options: Options
    batch: Frame
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


def engines() -> list[str]:
    """Return the engines' names."""
    return sorted(p.stem for p in _ENGINES.glob("*.py") if not p.stem.startswith("_"))


def engine(name: str) -> Engine:
    """Return the engine ``name``, its runtime not yet imported."""
    if name not in engines():
        raise TargetError(unknown("engine", name, engines()))
    return cast(Engine, importlib.import_module(f"targets.engines.{name}"))


def installed(candidate: Engine) -> bool:
    """Say whether an engine's runtime is there, without importing it."""
    return not candidate.MODULES or any(map(_found, candidate.MODULES))


def _found(module: str) -> bool:
    # find_spec imports the parents of a dotted name; the top level is enough to know
    return importlib.util.find_spec(module.partition(".")[0]) is not None


def import_runtime(modules: Iterable[str], packages: Iterable[str]) -> ModuleType:
    """Import the first of ``modules`` that is there.

    Raises:
        TargetError: none is there, or it does not import on this machine.
    """
    for module in modules:
        if _found(module):
            try:
                return importlib.import_module(module)
            except ImportError as error:
                raise TargetError(f"{module} is installed but does not import: {first_line(error)}") from error
    choices = " or ".join(f"pip install {package}" for package in packages)
    raise TargetError(f"{next(iter(modules))} is missing. Run: {choices}")


def first_line(error: BaseException) -> str:
    """Return the first line with text in an error's message, or its type's name."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def refuse_precision(name: str, options: Options) -> None:
    """Raise TargetError where a precision is asked of an engine that runs what the file holds."""
    if options.precision is not None:
        raise TargetError(
            f"engine {name} runs the precision that the file holds; --precision is for openvino and tensorrt"
        )


def refuse_gpu(name: str, options: Options) -> None:
    """Raise TargetError where a GPU is asked of an engine that runs on the processor."""
    if options.device == "cuda":
        raise TargetError(
            f"engine {name} runs on the processor; --device cuda is for onnxruntime, tensorrt and torchscript"
        )


def unreadable(path: Path, name: str, error: Exception) -> ArtifactError:
    """Return the error of an engine that cannot open a file."""
    return ArtifactError(f"engine {name} cannot open {path}: {first_line(error)}")


@dataclass(frozen=True, slots=True)
class CheckedSession:
    """A session held to its manifest: DataError for a wrong input, TargetError for an output of another kind."""

    session: Session
    manifest: Manifest
    engine: str

    def run(self, batch: Frame) -> Output:
        """Run one batch, checked before and after."""
        wanted = self.manifest.input
        if not isinstance(batch, np.ndarray) or not _fits(batch, wanted):
            raise DataError(f"input is {_kind(batch)}; expected {wanted.dtype} {wanted.shape}, the network's own size")
        output = self.session.run(batch)
        if not _fits(output, self.manifest.output):
            promised = self.manifest.output
            raise TargetError(
                f"engine {self.engine} gave {_kind(output)}; the manifest says {promised.dtype} {promised.shape}"
            )
        return output

    def facts(self) -> Mapping[str, Any]:
        """Return what the session underneath says."""
        return self.session.facts()


def _fits(array: Output, spec: TensorSpec) -> bool:
    return array.dtype.name == spec.dtype and array.shape == spec.shape


def _kind(array: object) -> str:
    if isinstance(array, np.ndarray):
        return f"{array.dtype} {array.shape}"
    return type(array).__name__
