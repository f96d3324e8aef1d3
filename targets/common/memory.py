"""Resident memory as Linux counts it: the high-water mark, per phase if the mark can be reset."""

from pathlib import Path

from segfast_edge.contract.report import Memory
from segfast_edge.errors import TargetError

_SELF = Path("/proc/self")
_RESET_PEAK = "5"  # to clear_refs: the high-water mark starts again at what is resident now


def _kilobytes(path: Path, name: str) -> int | None:
    """Return a ``Name:  123 kB`` field in bytes."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def peak_bytes() -> int:
    """Return VmHWM, the most that was resident since start or reset.

    Raises:
        TargetError: the system does not tell (it is not Linux).
    """
    peak = _kilobytes(_SELF / "status", "VmHWM")
    if peak is None:
        raise TargetError("no VmHWM in /proc/self/status; memory is measured on Linux only")
    return peak


def available_bytes(root: Path) -> int | None:
    """Return MemAvailable of the whole machine."""
    return _kilobytes(root / "proc/meminfo", "MemAvailable")


def _reset_peak() -> bool:
    try:
        (_SELF / "clear_refs").write_text(_RESET_PEAK, encoding="ascii")
    except OSError:
        return False
    return True


class MemoryMeter:
    """Peak resident memory from now on, phase by phase; make one before the engine is imported."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._resets = _reset_peak()  # what was read and freed before is no part of the baseline
        self._baseline = self._peak = peak_bytes()
        self._available = available_bytes(root)
        self._phases: dict[str, int] = {}

    def phase_ends(self, name: str) -> None:
        """Note the peak of the phase that ends here."""
        peak = peak_bytes()
        self._peak = max(self._peak, peak)
        if self._resets:
            self._phases[name] = peak
            _reset_peak()

    def memory(self, *, shared_with_gpu: bool) -> Memory:
        """Return what was seen; the fall of MemAvailable only if a GPU's memory is part of it."""
        available = available_bytes(self._root)
        drop = None
        if shared_with_gpu and self._available is not None and available is not None:
            drop = self._available - available
        self._peak = max(self._peak, peak_bytes())
        return Memory(self._peak, self._baseline, _kilobytes(_SELF / "smaps_rollup", "Pss"), drop, self._phases)
