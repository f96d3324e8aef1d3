"""Opening an artifact on a target: the engine that fits it there, or the reason why there is none."""

import os
import platform
from dataclasses import replace
from pathlib import Path

from segfast_edge.contract.engines import engine_named
from segfast_edge.contract.formats import formats_of
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.profile_options import OVER_SSH
from segfast_edge.errors import TargetError
from targets.common import board_kind
from targets.common.adapted import adapted
from targets.common.descriptor import Target, target, targets
from targets.common.session import CheckedSession, EngineModule, Options, engine, installed, refuse

__all__ = ["Target", "choose_engine", "open_artifact", "preferring", "refuse_elsewhere", "target", "targets"]


def preferring(where: Target, options: Options) -> Options:
    """Return the options with what a kind of computer prefers."""
    return replace(options, prefer_gpu=where.prefers_gpu)


def choose_engine(where: Target, manifest: Manifest, name: str | None = None) -> tuple[str, EngineModule]:
    """Return the engine for an artifact: ``name`` if given, else the first of the target's that is installed.

    Raises:
        TargetError: the target has none for this format, the artifact is refused there, or none is installed.
    """
    if name is not None:
        opened = formats_of(name)
        if manifest.format not in opened:
            raise TargetError(f"engine {name} does not open {manifest.format}; it opens {', '.join(opened)}")
        reason = engine_named(name).refusal(where, manifest.precision)
        if reason is not None:
            raise TargetError(reason)
        return name, engine(name)
    candidates = where.engines(manifest.format, manifest.precision)
    if not candidates:
        raise TargetError(where.refusal(manifest.format, manifest.precision))
    found = next((each for each in candidates if installed(each)), candidates[0])
    return found, engine(found)


def open_artifact(where: Target, artifact: Path, options: Options, name: str | None = None) -> CheckedSession:
    """Check an artifact's files against its manifest, then open it with the engine that fits."""
    manifest = Manifest.load(artifact)
    chosen_name, chosen = choose_engine(where, manifest, name)
    refuse(chosen_name, options)
    chosen.runtime()
    session = chosen.load(artifact, manifest, preferring(where, options))
    return CheckedSession(adapted(session, manifest, chosen_name), manifest, chosen_name)


def refuse_elsewhere(where: Target, root: Path) -> None:
    """Raise TargetError if this machine is not the target: its figures would be another computer's."""
    if where.is_here(root):
        return
    fitting = [name for name in targets() if target(name).only_engine is None and target(name).is_here(root)]
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
