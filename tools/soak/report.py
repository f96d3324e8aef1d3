"""What a soak found: figures, and what must never be among them."""

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from stand import Seen

RECOVERY_S = 15.0  # from the end of a fault to the next result; the longest pause of any back-off is 5
SLOPE_MB_PER_H = 30.0  # over less than an hour the first minutes' growth dominates; it is judged from 30 minutes on
SLOPE_FROM_S = 1800.0


@dataclass
class Soak:
    """One run."""

    seconds: float
    fps: float
    seed: int
    engine: str
    recoveries: dict[str, list[float | None]] = field(default_factory=lambda: defaultdict(list))
    sent: int = 0
    exit_status: int = 0

    def failures(self, seen: Seen, last: dict[str, Any]) -> list[str]:
        """Return what went wrong, in words."""
        frames = last["frames"]
        found = [f"{what} after '{name}'" for name, what in self._recovery_failures()]
        checks = {
            f"exit status {self.exit_status}": self.exit_status != 0,
            f"{frames['in_flight']} frames lost": frames["in_flight"] != 0,
            f"{len(seen.unbalanced)} times the counts did not add up: {seen.unbalanced[:1]}": bool(seen.unbalanced),
            f"{seen.backwards} results out of order": seen.backwards > 0,
            f"{seen.torn} shared masks torn": seen.torn > 0,
            "no result at all": seen.lines == 0,
            f"more frames in ({frames['in']}) than were sent ({self.sent})": frames["in"] > self.sent + 2,
        }
        found += [text for text, wrong in checks.items() if wrong]
        for name, tally in last["outputs"].items():
            if tally["in"] != tally["out"] + sum(tally["dropped"].values()) or tally["in_flight"]:
                found.append(f"output {name}: {tally}")
        if self.seconds >= SLOPE_FROM_S and slope_mb_per_h(seen.memory) > SLOPE_MB_PER_H:
            found.append(f"memory grows by {slope_mb_per_h(seen.memory):.1f} MB per hour")
        return found

    def _recovery_failures(self) -> list[tuple[str, str]]:
        return [
            (name, "no result" if each is None else f"{each:.1f} s without a result")
            for name, times in self.recoveries.items()
            for each in times
            if each is None or each > RECOVERY_S
        ]

    def to_json(self, seen: Seen, last: dict[str, Any]) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        ages = sorted(seen.ages_ms)
        return {
            "seconds": round(self.seconds, 1),
            "fps": self.fps,
            "seed": self.seed,
            "engine": self.engine,
            "sent_by_camera": self.sent,
            "frames": last["frames"],
            "deadline_misses": last["late"],
            "age_ms": {f"p{rank}": _rank(ages, rank) for rank in (50, 90, 99)},
            "engine_failures": last["engine"]["failures"],
            "engine_restarts": last["engine"]["restarts"],
            "source_losses": last["source"]["losses"],
            "resolution_changes": last["source"]["resolution_changes"],
            "reloads": last["reloads"],
            "notices_without_result": seen.notices,
            "shared_reads": seen.shared,
            "memory_mb": {"first": _mb(seen.memory[:10]), "last": _mb(seen.memory[-10:])},
            "memory_slope_mb_per_h": round(slope_mb_per_h(seen.memory), 2),
            "outputs": last["outputs"],
            "faults": {
                name: {"count": len(times), "longest_recovery_s": round(max((t or 0.0) for t in times), 2)}
                for name, times in sorted(self.recoveries.items())
            },
        }


def slope_mb_per_h(memory: list[tuple[float, int]]) -> float:
    """Return the slope of a straight line through the second half of the samples, where nothing is warming up."""
    half = memory[len(memory) // 2 :]
    if len(half) < 3:
        return 0.0
    slope = statistics.linear_regression([at for at, _ in half], [size for _, size in half]).slope
    return slope * 3600 / 1e6


def _rank(ordered: list[float], rank: int) -> float | None:
    return round(ordered[min(len(ordered) - 1, len(ordered) * rank // 100)], 1) if ordered else None


def _mb(samples: list[tuple[float, int]]) -> float | None:
    return round(statistics.median(size for _, size in samples) / 1e6, 1) if samples else None
