"""segfast-edge models: the networks there are."""

import argparse
import json

HELP = "list the networks"
EXAMPLE = "segfast-edge models --json"
NEEDS = {"counting parameters": ("torch",)}

CLASSES = 22  # at which the paper counts parameters


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the list."""
    from rich.table import Table

    from segfast_edge.cli._console import console
    from segfast_edge.model import description, networks

    counts = _counts(networks())
    if args.json:
        rows = [
            {"model": n, "classes": CLASSES, "parameters": c, "description": description(n)} for n, c in counts.items()
        ]
        print(json.dumps(rows, indent=2))
        return 0
    table = Table()
    table.add_column("model", no_wrap=True)
    table.add_column(f"parameters ({CLASSES} classes)", justify="right")
    table.add_column("description")
    for name, count in counts.items():
        table.add_row(name, "unknown" if count is None else f"{count:,}", description(name))
    screen = console()
    screen.print(table)
    if None in counts.values():
        screen.print("Counting parameters needs torch. Run: pip install 'segfast-edge\\[train]'")
    screen.print("You can also use your own: package.module:factory, where factory(classes) returns a torch.nn.Module.")
    return 0


def _counts(names: list[str]) -> dict[str, int | None]:
    """Return each network's parameters, or None for each if torch, which builds them to count, is not installed."""
    try:
        from segfast_edge.model.summary import on_meta, parameters
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return dict.fromkeys(names)
    return {name: parameters(on_meta(name, CLASSES)) for name in names}
