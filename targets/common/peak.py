"""The machine's limit for a layer: the multiply-accumulates a second that its cores give, measured by a loop in C."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

_SOURCE = Path(__file__).with_name("peak.c")
_COMPILERS = ("cc", "gcc", "clang")
_FOR_THIS_CPU = ("-march=native", "-mcpu=native")  # older compilers for ARM know only the second
_PATIENCE_S = 60.0


def peak_gmacs_per_s(threads: int) -> dict[str, float]:
    """Return billions of multiply-accumulates a second by precision, on ``threads`` threads.

    Nothing is returned without a C compiler, or if this processor's registers are not known to the loop.
    """
    compiler = next((path for name in _COMPILERS if (path := shutil.which(name))), None)
    if compiler is None:
        return {}
    with tempfile.TemporaryDirectory(prefix="segfast-peak-") as folder:
        program = Path(folder) / "peak"
        for processor in _FOR_THIS_CPU:
            flags = ["-O3", processor, "-ffp-contract=fast", "-pthread"]
            if _said([compiler, *flags, str(_SOURCE), "-o", str(program)]) is not None:
                said = _said([str(program), str(threads)])
                return {} if said is None else dict(json.loads(said))
    return {}


def _said(words: list[str]) -> str | None:
    """Return what a program prints, or None if it cannot be run or fails."""
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
