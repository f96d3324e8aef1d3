"""The configuration of an installed runner: input, outputs and options in config.json, which only its owner reads."""

import json
from pathlib import Path
from typing import Any

from segfast_edge.errors import ArtifactError


def words_of(value: Any, path: Path) -> list[str]:
    """Return a configuration as words for run.py: options, input, outputs.

    Raises:
        ArtifactError: it is not of that form.
    """
    words: list[Any] = []
    if isinstance(value, dict) and set(value) <= {"input", "outputs", "options"}:
        lists = [value.get("options", []), [value.get("input")], value.get("outputs", [])]
        words = [word for each in lists for word in each] if all(isinstance(each, list) for each in lists) else []
    if not words or not all(isinstance(word, str) and word for word in words):
        raise ArtifactError(f'{path} must have "input" (a text), and may have "outputs" and "options" (lists of texts)')
    return words


def written_folders(config: dict[str, Any]) -> list[Path]:
    """Return the folders outside the service's own that the outputs of a configuration write to."""
    folders = []
    for output in config.get("outputs", []):
        kind, _, argument = str(output).partition(":")
        path = Path(argument.partition(",")[0])
        if kind in ("masks", "overlays") and path.is_absolute():
            folders.append(path)
        elif kind in ("jsonl", "video") and path.is_absolute():
            folders.append(path.parent)
    return folders


def read_config(path: Path) -> dict[str, Any]:
    """Read a configuration.

    Raises:
        ArtifactError: missing, unreadable, or not of that form.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"cannot read configuration {path}: {error}") from error
    words_of(value, path)
    return {"outputs": [], "options": [], **value}
