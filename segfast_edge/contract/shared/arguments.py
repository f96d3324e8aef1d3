"""The argument parser of every command line, the device's included. Standard library only."""

import argparse
import difflib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from segfast_edge.errors import SegfastError


class ExactParser(argparse.ArgumentParser):
    """An ArgumentParser that takes options by their whole names, and answers what is wrong in one line with exit 2.

    argparse itself would take any unambiguous beginning of a name: a script that relies on one breaks, or means
    something else, as soon as another option begins so.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.given: dict[str, list[str]] = {}  # the words that were given, by the argument that they were given for
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """Note the words, and return what they mean."""
        if arg_strings:
            self.given[action.dest] = list(arg_strings)
        return super()._get_values(action, arg_strings)

    def value_of(self, action: argparse.Action, word: str) -> Any:
        """Return what one word means for an argument.

        Raises:
            argparse.ArgumentError: the argument does not take it.
        """
        value = self._get_value(action, word)
        self._check_value(action, value)
        return value

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit."""
        print(f"{self.prog}: {message}. See '{self.prog} --help'", file=sys.stderr)
        raise SystemExit(SegfastError.exit_code)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse, after naming the nearest option for the first that is not known."""
        words = list(sys.argv[1:] if args is None else args)
        known = sorted(set(_options(self)))
        for word in _long_options(words) if known and not _hands_on(self) else ():
            if word not in known:
                near = [each for each in known if each.startswith(word)] or difflib.get_close_matches(word, known, n=1)
                self.error(f"unknown option '{word}'" + (f". Did you mean '{near[0]}'?" if near else ""))
        return super().parse_args(words, namespace)


def _long_options(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word == "--":
            return
        name = word.partition("=")[0]
        if name.startswith("--") and not any(map(str.isspace, name)):  # a key in PEM is a value, as argparse has it
            yield name


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Give the long options of a parser and of all parsers of its verbs."""
    for action in parser._actions:
        yield from (option for option in action.option_strings if option.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _options(each)


def _hands_on(parser: argparse.ArgumentParser) -> bool:
    """Say whether a parser hands words on to another program, whose options are unknown here."""
    return any(action.nargs == argparse.REMAINDER for action in parser._actions)
