"""segfast-edge runs: the trainings in a folder, and how two of them differ."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segfast_edge.training.run_folder import RunFolder

HELP = "list trainings in one table, and compare two"
EXAMPLE = "segfast-edge runs list runs"
NEEDS = {"drawing curves": ("matplotlib",)}
_COLUMNS = ("run", "data", "model", "recipe", "protocol", "epochs", "best_miou", "best_epoch", "hours")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list the trainings below a folder")
    listing.add_argument("folder", nargs="?", type=Path, default=Path("runs"), metavar="DIR", help="default: runs")
    pair = actions.add_parser("compare", help="show which settings of two trainings differ")
    pair.add_argument("runs", nargs=2, type=Path, metavar="RUN", help="folder of a training")
    pair.add_argument("--picture", type=Path, metavar="FILE", help="draw the mIoU of both over the epochs as PNG")
    for action in (listing, pair):
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Do what the action says."""
    return _list(args) if args.action == "list" else _compare(args)


def _list(args: argparse.Namespace) -> int:
    from segfast_edge.errors import SegfastError
    from segfast_edge.training.run_folder import RunFolder

    found = sorted(path.parent for path in args.folder.rglob("config.json") if (path.parent / "last.pt").exists())
    if not found:
        raise SegfastError(f"no training in {args.folder} or below; segfast-edge train --output-dir writes one")
    rows = [{"run": str(path.relative_to(args.folder)), **_row(RunFolder(path))} for path in found]
    if args.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        _table(_COLUMNS, [[row[name] for name in _COLUMNS] for row in rows])
    return 0


def _row(folder: "RunFolder") -> dict[str, Any]:
    config, history = folder.config(), folder.history()
    scores = {record["epoch"]: record["val"]["miou"] for record in history if record["val"]}
    best = max(scores, key=lambda epoch: scores[epoch] or 0.0, default=None)
    return {
        "data": config["data"],
        "model": config["model"],
        "recipe": config["recipe"]["name"],
        "protocol": config.get("described", config["protocol"]),
        "epochs": f"{history[-1]['epoch'] if history else 0}/{config['recipe']['epochs']}",
        "best_miou": None if best is None else scores[best],
        "best_epoch": best,
        "hours": round(history[-1]["elapsed_s"] / 3600, 2) if history else 0.0,
    }


def _compare(args: argparse.Namespace) -> int:
    from segfast_edge.training.run_folder import RunFolder

    folders = [RunFolder(path) for path in args.runs]
    flat = [_flat(folder.config()) for folder in folders]
    changed = {name: [one.get(name) for one in flat] for name in {**flat[0], **flat[1]} if _differ(flat, name)}
    rows = [_row(folder) for folder in folders]
    results = {name: [row[name] for row in rows] for name in ("epochs", "best_miou", "best_epoch", "hours")}
    if args.picture is not None:
        from segfast_edge.training.curves import draw_beside

        draw_beside({str(folder.path): folder.history() for folder in folders}, args.picture)
    if args.json:
        print(json.dumps({"settings": changed, "results": results}, indent=2, ensure_ascii=False))
    else:
        _table(("", *map(str, args.runs)), [[name, *pair] for name, pair in (*changed.items(), *results.items())])
    return 0


def _differ(flat: list[dict[str, Any]], name: str) -> bool:
    return flat[0].get(name) != flat[1].get(name)


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by names such as recipe.lr."""
    found: dict[str, Any] = {}
    for name, each in value.items():
        found |= _flat(each, f"{prefix}{name}.") if isinstance(each, dict) else {prefix + name: each}
    return found


def _table(columns: tuple[str, ...], rows: list[list[Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from segfast_edge.cli._console import console

    table = Table()
    for number, column in enumerate(columns):
        table.add_column(escape(column), no_wrap=number == 0)
    for row in rows:
        table.add_row(*(f"{cell:.4f}" if isinstance(cell, float) else escape(str(cell)) for cell in row))
    console().print(table)
