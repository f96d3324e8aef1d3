"""The runner's log: one line each that nothing in it can forge, and what repeats is counted."""

import logging
import re
import sys
import time
from dataclasses import dataclass

from segfast_edge.errors import printable

FIRST_S, LONGEST_S = 10.0, 640.0  # between two lines that say the same; doubled each time
_KINDS = 200  # of lines that are told apart; a flood of names must not fill the memory


class OneLine(logging.Formatter):
    """Escapes what could end a line or move the cursor, and begins each line of a traceback as any other."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or several for a traceback."""
        lines = [f"segfast: {record.levelname} {printable(record.getMessage())}"]
        if record.exc_info:
            lines += [f"segfast: | {printable(line)}" for line in self.formatException(record.exc_info).splitlines()]
        return "\n".join(lines)


@dataclass(slots=True)
class _Kind:
    """What is known of lines that differ in their numbers only."""

    due_s: float
    pause_s: float
    last: logging.LogRecord
    held: int = 0


class Repeats(logging.Filter):
    """Lets the first line of a kind through, then one each 10, 20, 40 s ... with how many were held back."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[str, _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the line is to be written."""
        key = f"{record.levelname} {re.sub(r'[0-9]+', '#', record.getMessage())}"
        now_s = time.monotonic()
        kind = self._kinds.get(key)
        if kind is None or now_s > kind.due_s + kind.pause_s:  # new, or quiet for long
            self._kinds.pop(key, None)
            self._kinds[key] = _Kind(now_s + FIRST_S, FIRST_S, record)
            if len(self._kinds) > _KINDS:
                del self._kinds[next(iter(self._kinds))]
            if kind is not None and kind.held:
                _count(record, kind.held)
            return True
        kind.last = record
        if now_s < kind.due_s:
            kind.held += 1
            return False
        _count(record, kind.held)
        kind.held, kind.pause_s = 0, min(2 * kind.pause_s, LONGEST_S)
        kind.due_s = now_s + kind.pause_s
        return True

    def held(self, *, at_end: bool) -> list[logging.LogRecord]:
        """Return a line for each kind of which some were held back long enough, or at the end at all."""
        records, now_s = [], time.monotonic()
        for kind in list(self._kinds.values()):
            if kind.held and (at_end or now_s >= kind.due_s):
                _count(kind.last, kind.held - 1)
                records.append(kind.last)
                kind.held, kind.pause_s = 0, min(2 * kind.pause_s, LONGEST_S)
                kind.due_s = now_s + kind.pause_s
        return records


def _count(record: logging.LogRecord, held: int) -> None:
    if held:
        record.msg, record.args = f"{record.getMessage()} (and {held} more like it)", None
        record.exc_info = None


def write_log(*, quiet: bool) -> None:
    """Write the log to standard error, as systemd and people read it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    handler.addFilter(Repeats())
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, handlers=[handler])
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # it has much to say about damaged pictures, at every one


def write_what_was_held(*, at_end: bool = False) -> None:
    """Write what was held back and how often it came: what has waited long enough, or everything before the end."""
    for handler in logging.getLogger().handlers:
        for each in handler.filters:
            for record in each.held(at_end=at_end) if isinstance(each, Repeats) else []:
                handler.emit(record)
