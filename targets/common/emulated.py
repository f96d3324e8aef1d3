"""Emulated boards: known by the file they carry, and never timed. Where their emulator counts, instructions are read.

The emulator's plugin adds up what the process executes and writes the totals at each mark, a ``close`` of a file
number that no process has. It counts one thread, and has to be there when the process starts, so that a process
of its own is started for counting.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.endings import how_ended, signal_of
from segfast_edge.errors import TargetError

_SIGN = "etc/segfast-virtual-board"
_MARK = 0x5E6F0000  # plus the mark's number, as the plugin has it
_COUNTS = "SEGFAST_COUNTS"  # names the file that the plugin writes, in the process that is counted
_WARM_UP, _COUNTED = 2, 3


def facts(root: Path) -> dict[str, str]:
    """Return what an emulated board reports of itself: nothing, if ``root`` is that of a real one."""
    try:
        text = (root / _SIGN).read_text(encoding="utf-8")
    except OSError:
        return {}
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return said if said.get("emulated") == "1" else {}


def refuse_timing(root: Path) -> None:
    """Raise TargetError on an emulated board, where a time means nothing."""
    if facts(root):
        raise TargetError("this board is emulated: a time measured here means nothing. Use: profile, which counts")


def needs_counter(root: Path) -> bool:
    """Say whether this board's emulator counts, and does not yet count this process."""
    return "count" in facts(root) and _COUNTS not in os.environ


def run_counted(words: list[str], root: Path) -> int:
    """Run ``python -m targets`` with these words again, counted; return its exit status."""
    with tempfile.TemporaryDirectory(prefix="segfast-counts-") as folder:
        counts = Path(folder) / "counts.jsonl"
        counter = {"QEMU_PLUGIN": f"file={facts(root)['count']},out={counts}", _COUNTS: str(counts)}
        environment = {**os.environ, "PYTHONHASHSEED": "0", **counter}
        status = subprocess.run([sys.executable, "-m", "targets", *words], env=environment, check=False).returncode
    if signal_of(status) is not None:
        raise TargetError(f"the process that is counted {how_ended(status)}")
    return status


def count(step: Callable[[], Any]) -> tuple[dict[str, int], ...]:
    """Return the instructions of single calls, by kind; nothing if this process is not counted."""
    for _ in range(_WARM_UP):
        step()
    for number in range(_COUNTED):
        _mark(2 * number)
        step()
        _mark(2 * number + 1)
    written = os.environ.get(_COUNTS)
    if written is None:
        return ()
    totals = {}
    for line in Path(written).read_text(encoding="ascii").splitlines():
        said = json.loads(line)
        totals[said.pop("mark")] = said
    return tuple(_difference(totals[2 * number], totals[2 * number + 1]) for number in range(_COUNTED))


def _mark(number: int) -> None:
    with contextlib.suppress(OSError):  # it is refused, which is the point: nothing happens but the call
        os.close(_MARK + number)


def _difference(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {kind: after[kind] - before[kind] for kind in after}
