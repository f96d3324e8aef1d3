"""segfast-edge completion: what a shell needs to complete verbs, options and files."""

import argparse
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.arguments import ExactParser

HELP = "print the script with which a shell completes verbs, options and file names"
EXAMPLE = (
    "segfast-edge completion bash > ~/.local/share/bash-completion/completions/segfast-edge\n"
    "  segfast-edge completion zsh > ~/.zfunc/_segfast-edge    # with fpath+=~/.zfunc before compinit in ~/.zshrc\n"
    "  segfast-edge completion fish > ~/.config/fish/completions/segfast-edge.fish"
)
SHELLS = ("bash", "zsh", "fish")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    print(shtab.complete(_everything(), args.shell))
    return 0


def _everything() -> argparse.ArgumentParser:
    """Return one parser with every verb below it."""
    from segfast_edge.cli import declare, help_of, verbs

    parser = ExactParser(prog="segfast-edge")
    chosen = parser.add_subparsers(dest="verb")
    for name in verbs():
        below = chosen.add_parser(name, help=help_of(name), description=help_of(name))
        declare(name, below)
        _complete_files(below)
    return parser


def _complete_files(parser: argparse.ArgumentParser) -> None:
    """Let a shell offer files for whatever is a path."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                _complete_files(each)
        elif action.type is Path or action.dest == "sources":
            described: Any = action
            described.complete = shtab.FILE
