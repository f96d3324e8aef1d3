"""The time of each layer, in a process of its own: tracing slows a session, and may take it down."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from segfast_edge.contract.engines import engine_named
from segfast_edge.contract.layer_times import Layer
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.shared.endings import failure
from segfast_edge.contract.shared.images import read_frame
from segfast_edge.errors import TargetError
from targets.common.measured_picture import measured_picture
from targets.common.segment import network_input
from targets.common.session import LayerTrace, Options, refuse
from targets.common.target import Target, choose_engine, preferring

_RUNS = 50


def trace(where: Target, artifact: Path, plan: ProfileOptions) -> list[Layer]:
    """Time each layer in this process.

    Raises:
        TargetError: the engine is missing, or cannot time layers.
        ArtifactError: the artifact is missing, damaged or of another version.
    """
    manifest = Manifest.load(artifact)
    name, engine = choose_engine(where, manifest, plan.engine or None)
    options = preferring(where, Options.of(plan))
    refuse(name, options)
    if not engine_named(name).layers:
        raise TargetError(f"engine {name} has no layers to time")
    with measured_picture(artifact, manifest, plan) as picture:
        batch = network_input(read_frame(picture), manifest)
    engine.runtime()
    return engine.layers(artifact, manifest, LayerTrace(options, batch, _RUNS))


def trace_apart(where: Target, artifact: Path, plan: ProfileOptions) -> tuple[dict[str, Any], ...]:
    """Time each layer in a fresh process; return the layers as JSON values.

    Raises:
        TargetError: that process failed; its own line says why.
    """
    words = [sys.executable, "-m", "targets", where.name, "layers", str(artifact), "--json", *plan.words()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = failure("its process", done.returncode, done.stderr, prefix="targets: ")
        raise TargetError(f"layers cannot be timed: {reason}")
    return tuple(json.loads(done.stdout)["layers"])
