"""The option that says where a verb writes, under all names that it has had."""

import argparse
from pathlib import Path


def output_option(parser: argparse.ArgumentParser, metavar: str, text: str, *, required: bool = False) -> None:
    """Declare ``-o``, ``--out`` and ``--output``, one option with the help ``text``; the value is ``args.output``."""
    names = ("-o", "--out", "--output")
    parser.add_argument(*names, dest="output", type=Path, required=required, metavar=metavar, help=text)
