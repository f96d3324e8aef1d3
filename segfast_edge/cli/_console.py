"""The console that the verbs draw their tables on."""

import os
import sys

from rich.console import Console

_WIDTH_IN_A_FILE = 160  # a file or a pipe has no width of its own, and 80 would break tables that need not break


def console() -> Console:
    """Return a console as wide as the terminal, and wide if standard output is not one; COLUMNS decides over both."""
    return Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH_IN_A_FILE)
