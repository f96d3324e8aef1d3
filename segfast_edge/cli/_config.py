"""Options from a TOML file, and the options of a run written as one, which gives the same run again."""

import argparse
import json
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segfast_edge import __version__
from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.errors import SegfastError, unknown

OPTION = "--config"
_MARK = "# segfast-edge "  # begins each file that we wrote, and may therefore replace
# leave to replace or continue something is given for one run; the others do not change what a run computes
_NOT_KEPT = ("help", "help_all", "config", "verbose", "quiet", "json", "overwrite", "resume")


def named_in(words: Sequence[str]) -> Path | None:
    """Return the file that a command line names with ``--config``, before anything else of it is read."""
    for place, word in enumerate(words):
        if word == "--":
            break
        if word.startswith(f"{OPTION}="):
            return Path(word.partition("=")[2])
        if word == OPTION and place + 1 < len(words):
            return Path(words[place + 1])
    return None


def apply(path: Path, parser: ExactParser, verb: str) -> None:
    """Make what a file says the parser's defaults; the command line decides over them.

    Raises:
        SegfastError: the file cannot be read, names an option that the verb does not have, or a value it does not take.
    """
    actions = {name: action for action in _configurable(parser) for name in _names(action)}
    for key, value in _values(path, verb).items():
        name = key.replace("-", "_")
        if name not in actions:
            raise SegfastError(f"{path}: {unknown('option', key, sorted(actions))}")
        action = actions[name]
        try:
            action.default = _parsed(parser, action, value)
        except (argparse.ArgumentError, argparse.ArgumentTypeError) as error:
            raise SegfastError(f"{path}: {key}: {getattr(error, 'message', error)}") from None
        action.required = False
        if not action.option_strings:
            action.nargs = "*" if action.nargs in ("*", "+") else "?"


def write(path: Path, parser: ExactParser, args: argparse.Namespace, verb: str) -> None:
    """Write the options of a run, given and default, whole or not at all; a file that is not ours stays as it is."""
    from segfast_edge.contract.shared.files import replacing_file

    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(_MARK):
        return
    lines = [
        f"{_MARK}{__version__}: the options of one run, defaults included. Run it again, into another place:",
        f"# segfast-edge {verb} {OPTION} {shlex.quote(str(path))} --out ...",
        f"[{verb}]",
    ]
    for action in _configurable(parser):
        value = _kept(parser, action, args)
        if value is not None:
            lines.append(f"{_names(action)[0]} = {_toml(value)}")
    with replacing_file(path) as temporary:
        temporary.write_text("\n".join(dict.fromkeys(lines)) + "\n", encoding="utf-8")


def _configurable(parser: ExactParser) -> Iterator[argparse.Action]:
    seen = set(_NOT_KEPT)
    for action in parser._actions:
        if action.dest not in seen and action.dest != argparse.SUPPRESS:
            seen.add(action.dest)
            yield action


def _names(action: argparse.Action) -> list[str]:
    """Return what a file may call an option: its long names, and the name of a positional argument."""
    long = [each[2:].replace("-", "_") for each in action.option_strings if each.startswith("--")]
    return long or [action.dest]


def _values(path: Path, verb: str) -> Mapping[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SegfastError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SegfastError(f"{path} is not TOML: {error}") from error
    tables = {name: value for name, value in found.items() if isinstance(value, dict)}
    if not tables:
        return found
    if len(tables) < len(found):
        raise SegfastError(f"{path}: '{next(iter(found.keys() - tables))}' is outside a table; put it into [{verb}]")
    if verb not in tables:
        raise SegfastError(f"{path} has no table [{verb}]; it has [{'], ['.join(tables)}]")
    return tables[verb]


def _parsed(parser: ExactParser, action: argparse.Action, value: Any) -> Any:
    """Return a file's value as the command line's words would have given it."""
    if isinstance(action, argparse.BooleanOptionalAction) or action.nargs == 0:
        if not isinstance(value, bool):
            raise argparse.ArgumentTypeError(f"expected true or false, not {value!r}")
        return value if isinstance(action, argparse.BooleanOptionalAction) or not value else action.const
    if value is True and action.nargs == "?":
        return action.const
    several = action.nargs in ("*", "+") or isinstance(action.nargs, int)
    given = value if isinstance(value, list) and several else [value]
    if any(not isinstance(each, str | int | float) or isinstance(each, bool) for each in given):
        raise argparse.ArgumentTypeError(f"expected {'a list' if several else 'text or a number'}, not {value!r}")
    words = [str(each) for each in given]
    parser.given[action.dest] = words
    found = [parser.value_of(action, word) for word in words]
    return found if several else found[0]


def _kept(parser: ExactParser, action: argparse.Action, args: argparse.Namespace) -> Any:
    """Return an option's words as they were given, else its default; None if it has neither."""
    value = getattr(args, action.dest, None)
    words = parser.given.get(action.dest)
    if words and action.nargs != 0:
        return words if action.nargs in ("*", "+") or isinstance(action.nargs, int) else _number(value, words[0])
    if isinstance(value, Path):
        return str(value)
    return value if isinstance(value, bool | int | float | str) else None


def _number(value: Any, word: str) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else word


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
