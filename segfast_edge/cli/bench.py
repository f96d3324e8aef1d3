"""segfast-edge bench: the paper's comparison on this machine."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from segfast_edge.cli._output import output_option

if TYPE_CHECKING:
    from segfast_edge.profiling.paper_tables import NetworkFigures, PaperFigures, PaperSetting

HELP = "measure the paper's four networks side by side on this CPU"
EXAMPLE = "segfast-edge bench paper --threads 1"
NEEDS = {"measuring": ("torch",)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("what", metavar="BENCH", help="what to measure: paper, for tables 4 and 5 of the SegFast paper")
    parser.add_argument(
        "--classes", type=int, default=22, metavar="N", help="number of classes (default 22, the paper's)"
    )
    parser.add_argument("--size", default="224x224", metavar="HxW", help="input size (default 224x224)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="frames per run (default 1)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads of torch (default: all)")
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="measurements of each network (default 10)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    output_option(parser, "FILE", "also write the JSON to a file")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from segfast_edge.cli._progress import bar
    from segfast_edge.contract.preprocess import parse_size
    from segfast_edge.contract.shared.files import check_writable, write_json
    from segfast_edge.errors import SegfastError, unknown
    from segfast_edge.profiling.paper_tables import PaperSetting, measure

    if args.what != "paper":
        raise SegfastError(unknown("benchmark", args.what, ["paper"]))
    if args.output is not None:
        check_writable(args.output)
    setting = PaperSetting(args.classes, parse_size(args.size), args.batch, args.threads, args.rounds)
    with bar("measuring") as progress:
        measured = measure(setting, progress)
    rows, figures = list(measured.rows), _figures(measured, setting)
    if args.output is not None:
        write_json(args.output, figures)
    if args.json:
        print(json.dumps(figures, indent=2))
    else:
        _show(rows, figures)
    return 0


def _figures(measured: "PaperFigures", setting: "PaperSetting") -> dict[str, Any]:
    import importlib.metadata
    import os
    import platform

    from segfast_edge.profiling.paper_tables import PAPER_PARAMETERS, PAPER_SLOWER, ratios

    return {
        "setting": {
            "classes": setting.classes,
            "size": list(setting.size),
            "batch": setting.batch,
            "threads": setting.threads or len(os.sched_getaffinity(0)),
            "rounds": setting.rounds,
            "precision": "float32",
            "machine": platform.processor() or platform.machine(),
            "torch": importlib.metadata.version("torch"),
        },
        "valid": not measured.reasons,
        "reasons": list(measured.reasons),
        "foreign_cpu_share": measured.foreign_share,
        "networks": [row.to_json() for row in measured.rows],
        "forward_over_segfast": ratios(list(measured.rows)),
        "paper": {"parameters": PAPER_PARAMETERS, "forward_over_segfast": PAPER_SLOWER},
    }


def _show(rows: "list[NetworkFigures]", figures: dict[str, Any]) -> None:
    from rich.table import Table

    from segfast_edge.cli._console import console
    from segfast_edge.profiling.paper_tables import PAPER_PARAMETERS, PAPER_SLOWER

    setting = figures["setting"]
    what = f"{setting['batch']} x {setting['size'][0]}x{setting['size'][1]}, {setting['threads']} threads, float32"
    time_table = Table(title=f"table 4: time per sample ({what}, torch {setting['torch']})", title_justify="left")
    memory_table = Table(title=f"table 5: size ({setting['classes']} classes)", title_justify="left")
    for table, names in (
        (time_table, ("network", "forward ms", "backward ms", "forward / SegFast", "paper")),
        (
            memory_table,
            ("network", "parameters", "paper", "/ SegFast", "paper / SegFast", "inference MB", "training MB"),
        ),
    ):
        for name in names:
            table.add_column(name, justify="left" if name == "network" else "right")
    smallest = {row.network: row.parameters for row in rows}["segfast"]
    for row, found in zip(rows, figures["networks"], strict=True):
        slower, theirs = figures["forward_over_segfast"][row.network], PAPER_SLOWER.get(row.network)
        times = [f"{found['forward_ms']:.1f}", f"{found['backward_ms']:.1f}", f"{slower:.1f}x"]
        time_table.add_row(row.network, *times, "not given" if theirs is None else f"{theirs:.1f}x")
        paper, least = PAPER_PARAMETERS[row.network], PAPER_PARAMETERS["segfast"]
        ratios = [f"{row.parameters / smallest:.1f}x", f"{paper / least:.1f}x"]
        counts = [f"{row.parameters:,}", f"{paper:,}", *ratios]
        memory = [f"{size / 2**20:.0f}" for size in (row.forward_bytes, row.training_bytes)]
        memory_table.add_row(row.network, *counts, *memory)
    screen = console()
    screen.print(time_table, memory_table)
    for reason in figures["reasons"]:
        screen.print(f"invalid: {reason}", highlight=False)
    screen.print(
        "medians over interleaved rounds, a process each; memory is VmHWM over the process with torch loaded",
        style="dim",
    )
