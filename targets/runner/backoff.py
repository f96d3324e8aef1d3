"""The wait before the next attempt."""


class Backoff:
    """Doubles the wait after each failure up to a longest one, and starts afresh after a success."""

    def __init__(self, first_s: float = 0.1, longest_s: float = 5.0) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def failed(self) -> float:
        """Return the seconds to wait now."""
        wait_s = self._next_s
        self._next_s = min(self._next_s * 2, self._longest_s)
        return wait_s

    def succeeded(self) -> None:
        """Start afresh."""
        self._next_s = self._first_s
