"""The device side's argument parser: one line on stderr and exit 2 if the words are wrong."""

import argparse
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.errors import SegfastError


class Parser(ExactParser):
    """An ExactParser with two settings of its own.

    ``intermixed``: options may stand between positional arguments. ``more``: gives the end of the help text, and is
    called only when help is printed, because it may have to import much.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.intermixed = False
        self.more: Callable[[], str] | None = None

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit."""
        print(f"targets: {message}. See '{self.prog} --help'", file=sys.stderr)
        raise SystemExit(SegfastError.exit_code)

    def format_help(self) -> str:
        """Return the help text, with ``more`` at its end."""
        if self.more is not None:
            self.epilog = self.more()
            self.formatter_class = argparse.RawDescriptionHelpFormatter
        return super().format_help()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, letting options stand anywhere if ``intermixed``."""
        if not self.intermixed:
            return super().parse_known_args(args, namespace)
        for action in self._get_positional_actions():  # the intermixed parser warns of a value that is there already
            vars(namespace or argparse.Namespace()).pop(action.dest, None)
        self.intermixed = False  # up to Python 3.11 the intermixed parser calls this method
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.intermixed = True
