"""A target: a kind of computer, the engines that serve each format there, and how to know such a board."""

import importlib
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.profile_options import OVER_SSH
from segfast_edge.errors import TargetError, unknown
from targets.common import board_kind
from targets.common.session import CheckedSession, Engine, Options, engine, installed

_TARGETS = Path(__file__).parent.parent


def _anything(_: Manifest) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of computer that runs artifacts.

    ``engines`` maps a format to the engines that run it, the preferred one first. ``is_here`` looks at a root
    folder (``/`` in earnest) and says whether this machine is one. ``refusal`` says why an artifact must not
    run here, or None. ``memory_shared_with_gpu`` is true where the GPU has no memory of its own, ``prefers_gpu``
    where an engine that can run on either is to take the GPU unless told otherwise.
    """

    name: str
    description: str
    engines: Mapping[str, tuple[str, ...]]
    is_here: Callable[[Path], bool]
    refusal: Callable[[Manifest], str | None] = field(default=_anything)
    memory_shared_with_gpu: bool = False
    prefers_gpu: bool = False

    def preferring(self, options: Options) -> Options:
        """Return the options with what this kind of computer prefers."""
        return replace(options, prefer_gpu=self.prefers_gpu)


def targets() -> list[str]:
    """Return the targets' names."""
    return sorted(p.stem for p in _TARGETS.glob("*.py") if not p.stem.startswith("_"))


def target(name: str) -> Target:
    """Return a target by name."""
    if name not in targets():
        raise TargetError(unknown("target", name, targets()))
    return cast(Target, importlib.import_module(f"targets.{name}").TARGET)


def choose_engine(where: Target, manifest: Manifest, name: str | None = None) -> tuple[str, Engine]:
    """Return the engine for an artifact: ``name`` where given, else the first of the target's that is installed.

    Raises:
        TargetError: the target has none for this format, the artifact is refused there, or none is installed.
    """
    reason = where.refusal(manifest)
    if reason is not None:
        raise TargetError(reason)
    if name is not None:
        chosen = engine(name)
        if manifest.format not in chosen.FORMATS:
            raise TargetError(f"engine {name} does not open {manifest.format}; it opens {', '.join(chosen.FORMATS)}")
        return name, chosen
    candidates = where.engines.get(manifest.format, ())
    if not candidates:
        raise TargetError(
            f"target {where.name} does not run {manifest.format}; it runs {', '.join(sorted(where.engines))}"
        )
    found = next((each for each in candidates if installed(engine(each))), candidates[0])
    return found, engine(found)


def open_artifact(where: Target, artifact: Path, options: Options, name: str | None = None) -> CheckedSession:
    """Check an artifact's files against its manifest, then open it with the engine that fits."""
    manifest = Manifest.load(artifact)
    chosen_name, chosen = choose_engine(where, manifest, name)
    chosen.runtime()
    return CheckedSession(chosen.load(artifact, manifest, where.preferring(options)), manifest, chosen_name)


def refuse_elsewhere(where: Target, root: Path) -> None:
    """Raise TargetError where this machine is not the target: its figures would be another computer's."""
    if where.is_here(root):
        return
    fitting = [name for name in targets() if name != "null" and target(name).is_here(root)]
    kind = f"; it is --target {' or '.join(fitting)}" if fitting else ""
    refused = (
        f"this machine ({board_kind.model(root) or platform.machine()}) is no {where.description}, so its figures would"
        f" be another computer's{kind}"
    )
    if OVER_SSH in os.environ:
        raise TargetError(refused)
    raise TargetError(
        f"{refused}. Either measure over ssh: segfast-edge profile ARTIFACT --target {where.name} --host"
        f" USER@BOARD; or copy a bundle there (segfast-edge bundle ARTIFACT --target {where.name} -o"
        f" car.tar.gz) and run: python -m targets {where.name} profile ARTIFACT"
    )
