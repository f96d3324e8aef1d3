"""What a soak found: figures, and what must never be among them."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stand import Life, Stand

REFUSED = 2
SLOPE_MB_PER_H = 30.0  # over less than half an hour the first minutes' growth dominates; such lives are not judged
SLOPE_FROM_S = 1800.0


@dataclass
class Soak:
    """One run."""

    seconds: float
    fps: float
    seed: int
    engine: str
    recoveries: dict[str, list[float | None]] = field(default_factory=lambda: defaultdict(list))

    def failures(self, stand: Stand) -> list[str]:
        """Return what went wrong, in words."""
        seen, frames = stand.seen, _sum(life.last["frames"] for life in stand.lives)
        checks = {
            f"{len(seen.unbalanced)} times the counts did not add up: {seen.unbalanced[:1]}": bool(seen.unbalanced),
            f"{seen.backwards} results out of order": seen.backwards > 0,
            f"{seen.torn} shared masks torn": seen.torn > 0,
            "no result at all": seen.lines == 0,
            f"a damaged model was not refused: {stand.refusals}": set(stand.refusals) - {REFUSED} != set(),
            # of each connection the last frame may have been read before it was counted as sent
            f"more frames in ({frames['in']}) than were sent ({stand.camera.sent})": frames["in"]
            > stand.camera.sent + 2 * len(stand.lives),
        }
        found = [f"no result soon enough after '{name}'" for name, times in self.recoveries.items() if None in times]
        found += [text for text, wrong in checks.items() if wrong] + seen.troubles
        return found + [text for life in stand.lives for text in _failures(life)]

    def to_json(self, stand: Stand) -> dict[str, Any]:
        """Return everything as plain JSON values; counts are sums over the runner's lives."""
        seen, last = stand.seen, [life.last for life in stand.lives]
        ages = sorted(seen.ages_ms)
        longest = max(stand.lives, key=_seconds)
        outputs: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for each in last:
            for name, tally in each["outputs"].items():
                outputs[name.partition(":")[0] + (":-" if name.endswith(":-") else "")].append(tally)
        return {
            "seconds": round(self.seconds, 1),
            "fps": self.fps,
            "seed": self.seed,
            "engine": self.engine,
            "sent_by_camera": stand.camera.sent,
            "frames": _sum(each["frames"] for each in last),
            "deadline_misses": sum(each["late"] for each in last),
            "age_ms": {f"p{rank}": _rank(ages, rank) for rank in (50, 90, 99)},
            "lives": [_life(life) for life in stand.lives],
            "refusals_of_a_damaged_model": len(stand.refusals),
            "engine_failures": sum(each["engine"]["failures"] for each in last),
            "engine_restarts": sum(each["engine"]["restarts"] for each in last),
            "source_losses": sum(each["source"]["losses"] for each in last),
            "resolution_changes": sum(each["source"]["resolution_changes"] for each in last),
            "reloads": _sum(each["reloads"] for each in last),
            "policy_changes": sum(each["policy"]["changes"] for each in last),
            "notices_without_result": seen.notices,
            "shared_reads": seen.shared,
            "memory_slope_mb_per_h": round(slope_mb_per_h(longest.memory), 2),
            "outputs": {name: _sum(tallies) for name, tallies in outputs.items()},
            "faults": {
                name: {"count": len(times), "longest_recovery_s": round(max((t or 0.0) for t in times), 2)}
                for name, times in sorted(self.recoveries.items())
            },
        }


def _failures(life: Life) -> list[str]:
    frames, outputs = life.last["frames"], life.last["outputs"]
    found = [] if life.exit_status == 0 else [f"exit status {life.exit_status}"]
    if frames["in_flight"]:
        found.append(f"{frames['in_flight']} frames lost")
    for name, tally in outputs.items():
        if tally["in"] != tally["out"] + sum(tally["dropped"].values()) or tally["in_flight"]:
            found.append(f"output {name}: {tally}")
    if _seconds(life) >= SLOPE_FROM_S and slope_mb_per_h(life.memory) > SLOPE_MB_PER_H:
        found.append(f"memory grows by {slope_mb_per_h(life.memory):.1f} MB per hour")
    return found


def _life(life: Life) -> dict[str, Any]:
    memory = {"first": _mb(life.memory[:10]), "last": _mb(life.memory[-10:])}
    return {"seconds": round(_seconds(life), 1), "exit_status": life.exit_status, "memory_mb": memory}


def _seconds(life: Life) -> float:
    return life.memory[-1][0] - life.memory[0][0] if life.memory else 0.0


def _sum(tallies: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sums of all numbers in ``tallies``, those in mappings within them one by one; words are left out."""
    sums: dict[str, Any] = {}
    for tally in tallies:
        for name, value in tally.items():
            if isinstance(value, Mapping):
                sums[name] = dict(Counter(sums.get(name, {})) + Counter(value))
            elif isinstance(value, int):
                sums[name] = sums.get(name, 0) + value
    return sums


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
