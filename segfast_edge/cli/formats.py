"""segfast-edge formats: what a network can be converted to, and what runs it where."""

import argparse
import json
from typing import Any

HELP = "list the formats, the engines that run them, and what installs them"
EXAMPLE = "segfast-edge formats"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def _rows() -> list[dict[str, Any]]:
    from segfast_edge.contract.formats import format_named, format_names

    described = {name: format_named(name) for name in format_names()}
    return [
        {
            "format": name,
            "title": each.title,
            "model_files": [each.model_file, *each.more_files],
            "int8": each.integer,
            "engines": list(each.engines),
            "extra": each.extra,
        }
        for name, each in described.items()
    ]


def run(args: argparse.Namespace) -> int:
    """Print the list."""
    rows = _rows()
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    from rich.table import Table

    from segfast_edge.cli._console import console

    table = Table("format", "what it is", "files", "int8", "engines, the preferred first", "pip extra")
    for row in rows:
        integer = "yes" if row["int8"] else "no"
        files, engines = ", ".join(row["model_files"]), ", ".join(row["engines"])
        table.add_row(row["format"], row["title"], files, integer, engines, row["extra"])
    console().print(table)
    return 0
