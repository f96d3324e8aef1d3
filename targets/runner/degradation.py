"""The steps by which the runner reduces its load if the computer is too hot or too slow, and restores it.

Down one step after ``SUSTAINED_S`` seconds of being over the temperature limit or of missing too many deadlines; up one
step after ``hold_s`` seconds without either. A step undone too early (trouble returns within ``hold_s``) doubles
the next wait, up to five minutes, so that the runner does not swing between two steps.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segfast_edge.errors import DataError

SUSTAINED_S = 3.0
LONGEST_HOLD_S = 300.0
_DIVISORS = {"half": 2, "quarter": 4, "eighth": 8}


class Pace:
    """Lets one frame in ``divisor`` through."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self.divisor = 1

    def admits(self) -> bool:
        """Count a frame and return whether to process it."""
        with self._lock:
            self._count += 1
            return self._count % self.divisor == 0


@dataclass(frozen=True, slots=True)
class Step:
    """One way to run: its name, one frame in how many, and the artifact (None: the one first asked for)."""

    name: str
    divisor: int = 1
    artifact: Path | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits for a step down: degrees Celsius, and the share of frames that miss their deadline."""

    hot_c: float = 80.0
    cool_c: float = 75.0
    late_share: float = 0.2
    hold_s: float = 10.0

    def __post_init__(self) -> None:
        if not self.cool_c <= self.hot_c:
            raise DataError(f"cool limit {self.cool_c} °C is above the hot limit {self.hot_c} °C")
        if not 0 < self.late_share <= 1:
            raise DataError(f"late share {self.late_share} is outside 0 to 1")


def ladder(fallback: Path | None, *, may_skip: bool = True) -> tuple[Step, ...]:
    """Return the steps from full to least: the smaller artifact first if there is one, then fewer frames if allowed."""
    first = (Step("full"),) if fallback is None else (Step("full"), Step("fallback", artifact=fallback))
    if not may_skip:
        return first
    return first + tuple(Step(name, divisor, fallback) for name, divisor in _DIVISORS.items())


class Policy:
    """Watches temperature and lateness and moves along ``steps``; it decides, others act."""

    def __init__(self, limits: Limits, steps: Sequence[Step]) -> None:
        self._limits = limits
        self._steps = steps
        self._index = 0
        self._trouble_since: float | None = None
        self._calm_since: float | None = None
        self._hold_s = limits.hold_s
        self._raised_at: float | None = None
        self.reason = ""
        self.changes = 0

    @property
    def step(self) -> Step:
        """The step now."""
        return self._steps[self._index]

    @property
    def index(self) -> int:
        """How many steps down."""
        return self._index

    def observe(
        self, now_s: float, temperature_c: float | None, late_share: float, *, skipping_helps: bool = True
    ) -> bool:
        """Take in a look at the machine, about one a second, and say whether the step has changed.

        ``skipping_helps`` is whether frames would be in time if fewer came: not if the work on one takes too long.
        """
        trouble = self._trouble(temperature_c, late_share)
        if trouble:
            self._calm_since = None
            if self._trouble_since is None:
                self._trouble_since = now_s
            if now_s - self._trouble_since < SUSTAINED_S:
                return False
            return self._answer(now_s, trouble, skipping=skipping_helps or self._hot(temperature_c))
        self._trouble_since = None
        if self._index == 0:
            self.reason = ""
        if self._index == 0 or not self._cool(temperature_c):
            self._calm_since = None
            return False
        if self._calm_since is None:
            self._calm_since = now_s
        if now_s - self._calm_since < self._hold_s:
            return False
        self._up(now_s)
        return True

    def _answer(self, now_s: float, trouble: str, *, skipping: bool) -> bool:
        """Go down a step; where ``skipping`` is no use not to fewer frames, and back from where that was tried."""
        above, below = self._steps[max(0, self._index - 1)], self._steps[min(self._index + 1, len(self._steps) - 1)]
        if skipping or below.divisor == self.step.divisor:
            if self._index + 1 == len(self._steps):
                return False
            self._down(now_s, trouble)
            return True
        back = self.step.divisor > above.divisor
        if back:
            self._up(now_s)
            self._trouble_since = None
        self.reason = f"{trouble}; fewer frames would not help, the work on one takes too long"
        return back

    def _hot(self, temperature_c: float | None) -> bool:
        return temperature_c is not None and temperature_c >= self._limits.hot_c

    def _trouble(self, temperature_c: float | None, late_share: float) -> str:
        if temperature_c is not None and self._hot(temperature_c):
            return f"{temperature_c:.0f} °C, the limit is {self._limits.hot_c:.0f}"
        if late_share > self._limits.late_share:
            return f"{late_share:.0%} of frames late, the limit is {self._limits.late_share:.0%}"
        return ""

    def _cool(self, temperature_c: float | None) -> bool:
        return temperature_c is None or temperature_c <= self._limits.cool_c

    def _down(self, now_s: float, trouble: str) -> None:
        if self._raised_at is not None and now_s - self._raised_at < self._hold_s:
            self._hold_s = min(self._hold_s * 2, LONGEST_HOLD_S)
        self._index += 1
        self._trouble_since = None  # the new step gets its own time to prove itself
        self.reason = trouble
        self.changes += 1

    def _up(self, now_s: float) -> None:
        self._index -= 1
        self._calm_since = None
        self._raised_at = now_s
        self.changes += 1
        if self._index == 0:
            self.reason = ""
