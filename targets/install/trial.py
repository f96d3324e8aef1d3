"""The release on trial as ``pending.json`` has it, and the configuration that goes back with it.

A configuration of ``{}`` means that there was none, None that it was not changed.
"""

import json
import os
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.durable import remove_durably, write_durably
from targets.install.guard import PROOF, STATE
from targets.install.layout import Layout


def configuration(layout: Layout) -> dict[str, Any]:
    """Return the configuration as it is, {} if there is none that is worth going back to."""
    return _object(layout.config)


def configurations(layout: Layout) -> list[dict[str, Any]]:
    """Return the configuration and, during a trial, the one that may go back: the service must allow for both."""
    before = _object(layout.pending).get("config")
    return [configuration(layout), *([before] if isinstance(before, dict) else [])]


def restore(layout: Layout, config: dict[str, Any] | None) -> None:
    """Make the configuration what it was before a trial."""
    if config == {}:
        remove_durably(layout.config)
    elif config is not None and configuration(layout) != config:  # a full disk need not stop what is right already
        write_durably(layout.config, config, mode=0o600)


def open_trial(layout: Layout, current: str | None, proof: Path | None) -> dict[str, Any] | None:
    """Return the trial that the current release is on, None for none; one that was never switched to is undone.

    ``proof`` is where a runner that may not end its trial itself notes that it is healthy.
    """
    trial = _object(layout.pending)
    if proof is not None and trial.get("release") == _object(proof).get("release") == current:
        remove_durably(layout.pending)
        return None
    if "release" not in trial:
        return None
    before = trial.get("config")
    trial["config"] = before if isinstance(before, dict) else None
    if trial["release"] == current:
        return trial
    restore(layout, trial["config"])
    remove_durably(layout.pending)
    return None


def proven(layout: Layout, release: str) -> None:
    """End the trial of a release that is healthy; one of another release, which an installer began since, continues.

    A service of systemd's may write to its own folder only: the guard reads there, before the next start.
    """
    state = os.environ.get(STATE)
    if state is not None:
        write_durably(Path(state) / PROOF, {"release": release})
    elif _object(layout.pending).get("release") == release:
        remove_durably(layout.pending)


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
