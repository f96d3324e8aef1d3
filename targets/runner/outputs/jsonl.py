"""One line of JSON per result: what a program that does not look at pixels wants to know."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from segfast_edge.contract.masks import class_shares
from segfast_edge.errors import DataError
from targets.runner.frames import Notice, Result
from targets.runner.output_thread import Output
from targets.runner.outputs import OutputContext
from targets.runner.telemetry import Telemetry

FORM = "jsonl:FILE or jsonl:- (a line per result: class shares, drivable area ahead, latency, age)"
MAX_FILE_BYTES = 64 << 20  # then FILE becomes FILE.1, so that a car never fills its disk with lines


def open_output(argument: str, context: OutputContext) -> Output:
    """Open a file to append to, or standard output."""
    if not argument:
        raise DataError("output 'jsonl:' needs a file, for example jsonl:results.jsonl, or jsonl:- for standard output")
    return JsonLines(None if argument == "-" else context.folder / argument, context)


def line_of(result: Result, telemetry: Telemetry) -> dict[str, Any]:
    """Return the line of one result; times are of the monotonic clock, shares 0 to 1."""
    return {
        "state": "running",
        "frame": result.number,
        "name": result.name,
        "captured_ns": result.captured_ns,
        "age_ms": round(result.age_ms, 3),
        "latency_ms": round(result.latency_ms, 3),
        "late": result.late,
        "doubt": result.doubt or None,
        "timings_ms": {stage: round(spent, 3) for stage, spent in result.timings_ms.items()},
        "shares": {name: round(share, 4) for name, share in class_shares(result.labels, result.classes).items()},
        "ahead": telemetry.ahead(result),
    }


class JsonLines:
    """Appends whole lines; one that does not fit on the disk is taken back, so a reader never sees half of one."""

    wants_frame = False

    def __init__(self, path: Path | None, context: OutputContext) -> None:
        self._path = path
        self._telemetry = context.telemetry
        self._descriptor = context.stdout
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor = _append(path)
            except OSError as error:
                raise DataError(f"cannot write {path}: {error.strerror or error}") from error

    def write(self, result: Result) -> None:
        """Append a result's line."""
        self._line(line_of(result, self._telemetry))

    def notice(self, notice: Notice) -> None:
        """Append a line that says that there is no result, and why."""
        line = {"state": notice.state, "frame": None, "reason": notice.reason, "at_ns": notice.at_ns}
        self._line(line)

    def _line(self, value: dict[str, Any]) -> None:
        data = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        if self._path is None:
            write_all(self._descriptor, data)
            return
        before = os.fstat(self._descriptor).st_size
        try:
            write_all(self._descriptor, data)
        except OSError:
            with contextlib.suppress(OSError):  # not a plain file
                os.ftruncate(self._descriptor, before)
            raise
        if before + len(data) > MAX_FILE_BYTES:
            self._turn_over(self._path)

    def _turn_over(self, path: Path) -> None:
        path.replace(path.with_name(f"{path.name}.1"))
        full, self._descriptor = self._descriptor, _append(path)
        os.close(full)

    def close(self) -> None:
        """Close the file; standard output stays."""
        if self._path is not None:
            os.close(self._descriptor)


def _append(path: Path) -> int:
    """Open a file to append lines to; half a line, as a power cut leaves it, is ended first."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    with contextlib.suppress(OSError):  # not a plain file, or an empty one
        if os.pread(descriptor, 1, os.fstat(descriptor).st_size - 1) != b"\n":
            os.write(descriptor, b"\n")
    return descriptor


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``; OSError if not all of it could be."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
