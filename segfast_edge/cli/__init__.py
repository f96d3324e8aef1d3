"""The command line: one module per verb in this folder, found by listing it.

A verb module has ``HELP`` (one line), ``EXAMPLE`` (a command that works), ``arguments(parser)`` and
``run(args) -> int``, and imports nothing heavy at its top level. ``NEEDS`` names the modules of optional packages that
it imports, by what for; none if it has none. Only this package prints.
"""

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from segfast_edge import __version__
from segfast_edge.cli._packages import extra_of
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


def _parser(name: str) -> argparse.ArgumentParser:
    module = _verb(name)
    parser = ExactParser(
        prog=f"segfast-edge {name}",
        description=module.HELP,
        epilog=f"example:\n  {module.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.arguments(parser)
    return parser


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
        args = _parser(words[0]).parse_args(words[1:])
        return int(_verb(words[0]).run(args))
    except SegfastError as error:
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
