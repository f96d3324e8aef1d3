"""The time of each layer, in a process of its own: tracing slows a session, and may take it down."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segfast_edge.contract.engines import engine_named
from segfast_edge.contract.layer_times import Layer
from segfast_edge.contract.layouts import fed
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.shared.endings import failure
from segfast_edge.contract.shared.images import read_frame
from segfast_edge.errors import TargetError
from targets.common import affinity
from targets.common.conditions import Sampler
from targets.common.measured_picture import measured_picture
from targets.common.peak import peak_gmacs_per_s
from targets.common.segment import network_input
from targets.common.session import LayerTrace, Options, refuse
from targets.common.target import Target, choose_engine, preferring

_RUNS = 50
_KEPT = ("foreign_cpu_share", "load", "alarms")  # of the conditions: what may make the times invalid


@dataclass(frozen=True, slots=True)
class Traced:
    """Layers as JSON values, and what was sampled while they were timed."""

    layers: tuple[dict[str, Any], ...]
    conditions: dict[str, Any]


def trace(
    where: Target, artifact: Path, plan: ProfileOptions, root: Path = Path("/")
) -> tuple[list[Layer], dict[str, Any]]:
    """Time each layer in this process; return the layers, and the conditions under which they were timed.

    Raises:
        TargetError: the engine is missing, or cannot time layers.
        ArtifactError: the artifact is missing, damaged or of another version.
    """
    affinity.pin(plan.pin, root)
    manifest = Manifest.load(artifact)
    name, engine = choose_engine(where, manifest, plan.engine or None)
    options = preferring(where, Options.of(plan))
    refuse(name, options)
    if not engine_named(name).layers:
        raise TargetError(f"engine {name} has no layers to time")
    with measured_picture(artifact, manifest, plan) as picture:
        batch = fed(network_input(read_frame(picture), manifest), manifest.input)
    engine.runtime()
    with Sampler(root) as sampler:
        layers = engine.layers(artifact, manifest, LayerTrace(options, batch, _RUNS))
    summary = {name: value for name, value in sampler.summary().items() if name in _KEPT}
    if where.prefers_gpu or options.device == "cuda":
        return layers, summary
    peaks = peak_gmacs_per_s(options.thread_count)
    limited = [replace(layer, limit_gmacs_per_s=peaks.get(layer.precision or "")) for layer in layers]
    return limited, {**summary, "peak_gmacs_per_s": peaks}


def trace_apart(where: Target, artifact: Path, plan: ProfileOptions) -> Traced:
    """Time each layer in a fresh process.

    Raises:
        TargetError: that process failed; its own line says why.
    """
    words = [sys.executable, "-m", "targets", where.name, "layers", str(artifact), "--json", *plan.words()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = failure("its process", done.returncode, done.stderr, prefix="targets: ")
        raise TargetError(f"layers cannot be timed: {reason}")
    said = json.loads(done.stdout)
    return Traced(tuple(said["layers"]), said["conditions"])
