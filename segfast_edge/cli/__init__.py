"""The command line: one module per verb in this folder, found by listing it.

A verb module has ``HELP`` (one line), ``EXAMPLE`` (a command that works), ``arguments(parser)`` and
``run(args) -> int``, and imports nothing heavy at its top level. ``NEEDS`` names the modules of optional packages that
it imports, by what for; none if it has none. ``FIRST`` names the options that ``--help`` shows if a verb has too many;
the rest are under ``--help-all``. A verb that sets ``args.options_paths`` has its options written there. Only this
package prints.
"""

import argparse
import importlib
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from segfast_edge import __version__
from segfast_edge.cli._config import OPTION, apply, named_in, write
from segfast_edge.cli._packages import extra_of
from segfast_edge.cli._volume import set_volume, volume, volume_options
from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.contract.shared.found import names_in
from segfast_edge.errors import SegfastError, one_line, unknown

EXIT_INTERRUPTED = 130


def verbs() -> list[str]:
    """Return the verbs' names."""
    return names_in(Path(__file__).parent)


def _verb(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def needs_of(name: str) -> Mapping[str, tuple[str, ...]]:
    """Return the modules that a verb imports beyond what is always installed, by what it needs them for."""
    found: Mapping[str, tuple[str, ...]] = getattr(_verb(name), "NEEDS", {})
    return found


def _overview() -> argparse.ArgumentParser:
    modules = {name: _verb(name) for name in verbs()}
    width = max(map(len, modules), default=0)
    listing = "\n".join(f"  {name:{width}}  {module.HELP}" for name, module in modules.items())
    parser = ExactParser(
        prog="segfast-edge",
        usage="segfast-edge VERB ...",
        description="From training a segmentation network to a cheap computer in a car.\n\n" + listing,
        epilog="'segfast-edge VERB --help' shows a verb's options and an example.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"segfast-edge {__version__}")
    return parser


def help_of(name: str) -> str:
    """Return a verb's line of help."""
    return str(_verb(name).HELP)


def declare(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare a verb's options, and those that every verb has."""
    _verb(name).arguments(parser)
    leaves = _leaves(parser)
    for leaf in leaves:
        if not any(action.nargs == argparse.REMAINDER for action in leaf._actions):
            volume_options(leaf)
    if leaves == [parser] and hasattr(parser, "given") and OPTION not in parser._option_string_actions:
        parser.add_argument(OPTION, type=Path, metavar="FILE", help=f"TOML file with options in a table [{name}]")


def _leaves(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    below = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    return [leaf for action in below for each in action.choices.values() for leaf in _leaves(each)] or [parser]


class _FirstHelp(argparse.Action):
    """Prints a verb's help with the options that matter first."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        """Leave the others out, print, and exit."""
        for action in parser._actions:
            if action.dest not in self.const and action.option_strings:
                action.help = argparse.SUPPRESS
        parser.print_help()
        parser.exit()


def _parser(name: str) -> ExactParser:
    module = _verb(name)
    first = getattr(module, "FIRST", ())
    parser = ExactParser(
        prog=f"segfast-edge {name}",
        description=module.HELP,
        epilog=f"example:\n  {module.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=not first,
    )
    if first:
        shown = (*first, "help", "help_all")
        parser.add_argument("-h", "--help", action=_FirstHelp, nargs=0, const=shown, help="show the usual options")
        parser.add_argument("--help-all", action="help", help="show every option")
    declare(name, parser)
    return parser


def _run(name: str, words: Sequence[str]) -> int:
    """Run a verb, and write its options where it wants them."""
    parser = _parser(name)
    config = named_in(words) if OPTION in parser._option_string_actions and name != "deploy" else None
    if config is not None:
        apply(config, parser, name)
    args = parser.parse_args(words)
    with set_volume(args):
        status = int(_verb(name).run(args))
    for path in getattr(args, "options_paths", ()):
        write(path, parser, args, name)
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the process's exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if not words or words[0].startswith("-"):
            parser = _overview()
            parser.parse_args(words)
            parser.print_help()
            return 0
        if words[0] not in verbs():
            raise SegfastError(unknown("verb", words[0], verbs()))
        return _run(words[0], words[1:])
    except SegfastError as error:
        if volume.verbose:
            traceback.print_exc()
        print(f"segfast-edge: {one_line(error)}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            raise
        line = f"{error.name} is missing. Run: pip install 'segfast-edge[{extra}]'"
        print(f"segfast-edge: {line}", file=sys.stderr)
        return SegfastError.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("segfast-edge: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
