"""segfast-edge summary: what a network costs."""

import argparse
import json

HELP = "show a network's parameters and multiply-accumulates, block by block"
EXAMPLE = "segfast-edge summary segfast --classes 12 --size 224x224"
NEEDS = {"counting": ("torch",)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("model", metavar="MODEL", help="a name from 'segfast-edge models', or package.module:factory")
    parser.add_argument("--classes", type=int, default=22, metavar="N", help="number of classes (default: 22)")
    parser.add_argument("--size", default="224x224", metavar="HxW", help="input size (default: 224x224)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the summary."""
    from rich.table import Table

    from segfast_edge.cli._console import console
    from segfast_edge.contract.preprocess import parse_size
    from segfast_edge.model.summary import summarise

    found = summarise(args.model, args.classes, parse_size(args.size))
    if args.json:
        print(json.dumps(found.to_json(), indent=2))
        return 0
    height, width = found.size
    table = Table(title=f"{found.model}, {found.classes} classes, {height}x{width}")
    table.add_column("block")
    for column in ("output", "parameters", "MACs", "share"):
        table.add_column(column, justify="right")
    for row in found.rows:
        shape = " x ".join(map(str, row.shape))
        table.add_row(row.name, shape, f"{row.parameters:,}", f"{row.macs:,}", f"{row.macs / max(found.macs, 1):.1%}")
    table.add_section()
    table.add_row("total", "", f"{found.parameters:,}", f"{found.macs:,}", "")
    console().print(table, "1 MAC = one multiply-accumulate of a convolution or matrix product.", sep="\n")
    return 0
