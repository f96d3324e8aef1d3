"""A training's folder: config.json, last.pt, best.pt, metrics.jsonl and curves.png."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.files import read_json, replacing_file, write_json
from segfast_edge.errors import ArtifactError, SegfastError

_OURS = ("config.json", "last.pt", "best.pt", "metrics.jsonl", "curves.png")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names and formats of what a training leaves behind."""

    path: Path

    @property
    def last(self) -> Path:
        """The state from which training continues."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The checkpoint with the best mIoU on val."""
        return self.path / "best.pt"

    @property
    def metrics(self) -> Path:
        """One JSON object per complete epoch."""
        return self.path / "metrics.jsonl"

    @property
    def curves(self) -> Path:
        """Loss and mIoU over the epochs."""
        return self.path / "curves.png"

    def config(self) -> dict[str, Any]:
        """Return what the training was started with.

        Raises:
            ArtifactError: there is no training in this folder.
        """
        if not (self.path / "config.json").is_file():
            raise ArtifactError(f"no training to continue in {self.path}; leave out --resume to start one")
        return read_json(self.path / "config.json", "training configuration")

    def check_free(self, *, overwrite: bool) -> None:
        """Raise SegfastError if the folder holds a training already and ``overwrite`` is off."""
        there = [name for name in _OURS if (self.path / name).exists()]
        if there and not overwrite:
            raise SegfastError(
                f"{self.path} holds a training already ({', '.join(there)}). Pass --resume to continue it,"
                " --overwrite to start anew, or choose another --output-dir"
            )

    def begin(self, config: Mapping[str, Any], *, overwrite: bool) -> None:
        """Make the folder ready for a new training.

        Raises:
            SegfastError: it holds a training already and ``overwrite`` is off, or it is not writable.
        """
        self.check_free(overwrite=overwrite)
        for name in _OURS:
            (self.path / name).unlink(missing_ok=True)
        self.write_config(config)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write what the training was started with."""
        write_json(self.path / "config.json", config)

    def history(self) -> list[dict[str, Any]]:
        """Return the records of all complete epochs, oldest first; a last line cut short by a power loss is dropped."""
        if not self.metrics.is_file():
            return []
        records = []
        lines = self.metrics.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            try:
                records.append(dict(json.loads(line)))
            except (ValueError, TypeError) as error:
                if number == len(lines):
                    break
                raise ArtifactError(f"{self.metrics} line {number} is not a JSON object") from error
        return records

    def rewind(self, epoch: int) -> None:
        """Forget records after ``epoch``: the state was not written for them, so they will be made again."""
        records = [record for record in self.history() if record["epoch"] <= epoch]
        with replacing_file(self.metrics) as temporary:
            temporary.write_text("".join(map(_line, records)), encoding="utf-8")

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one epoch's record.

        Raises:
            ArtifactError: the disk is full.
        """
        try:
            with self.metrics.open("a", encoding="utf-8") as stream:
                stream.write(_line(record))
        except OSError as error:
            raise ArtifactError(f"cannot write {self.metrics}: {error.strerror or error}") from error


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
