"""Every frame accounted for: in = out + dropped + corrupt + in flight, at every moment."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OUT, CORRUPT = "out", "corrupt"


@dataclass(frozen=True, slots=True)
class Tally:
    """A ledger at one moment; ``dropped`` counts by reason."""

    entered: int
    out: int
    corrupt: int
    dropped: Mapping[str, int]
    in_flight: int

    @property
    def balanced(self) -> bool:
        """Whether every frame that came in is somewhere."""
        return self.entered == self.out + self.corrupt + sum(self.dropped.values()) + self.in_flight

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "in": self.entered,
            "out": self.out,
            "corrupt": self.corrupt,
            "dropped": dict(sorted(self.dropped.items())),
            "in_flight": self.in_flight,
        }


class Ledger:
    """Books each frame in and out once; in flight are the numbers booked in and not yet out, not a difference."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entered = 0
        self._left: Counter[str] = Counter()
        self._open: set[int] = set()

    def enter(self) -> int:
        """Book a frame in and return its number, counted from 1."""
        with self._lock:
            self._entered += 1
            self._open.add(self._entered)
            return self._entered

    def leave(self, number: int, way: str) -> None:
        """Book a frame out: ``out``, ``corrupt``, or else the reason for which it was dropped."""
        with self._lock:
            self._open.remove(number)
            self._left[way] += 1

    def tally(self) -> Tally:
        """Return the counts of this moment."""
        with self._lock:
            dropped = {way: count for way, count in self._left.items() if way not in (OUT, CORRUPT)}
            return Tally(self._entered, self._left[OUT], self._left[CORRUPT], dropped, len(self._open))
