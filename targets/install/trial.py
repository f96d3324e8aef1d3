"""The release on trial as ``pending.json`` has it, and the configuration that goes back with it.

A configuration of ``{}`` means that there was none, None that it was not changed.
"""

import json
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.durable import remove_durably, write_durably
from targets.install.layout import Layout


def configuration(layout: Layout) -> dict[str, Any]:
    """Return the configuration as it is, {} where there is none that is worth going back to."""
    return _object(layout.config)


def restore(layout: Layout, config: dict[str, Any] | None) -> None:
    """Make the configuration what it was before a trial."""
    if config == {}:
        remove_durably(layout.config)
    elif config is not None and configuration(layout) != config:  # a full disk need not stop what is right already
        write_durably(layout.config, config, mode=0o600)


def open_trial(layout: Layout, current: str | None) -> dict[str, Any] | None:
    """Return the trial that the current release is on, None for none; one that was never switched to is undone."""
    trial = _object(layout.pending)
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
    """End the trial of a release that is well; one of another release, which an installer began since, goes on."""
    if _object(layout.pending).get("release") == release:
        remove_durably(layout.pending)


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
