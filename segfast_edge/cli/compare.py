"""segfast-edge compare: is one measurement faster than another, and how sure is that."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from segfast_edge.errors import DataError, InvalidMeasurementError

if TYPE_CHECKING:
    from segfast_edge.profiling.compare import Comparison

HELP = "compare profiles: ratio of medians, its confidence interval, and a verdict"
EXAMPLE = "segfast-edge compare before.json after.json --fail-if-slower 5%"

EXIT_SLOWER = 1  # not an error of the user's: the answer to what --fail-if-slower asked


def _share(text: str) -> float:
    """Read ``5%`` or ``0.05``."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 10:
        raise DataError(f"'{text}' is not a share such as 5% or 0.05, from 0 to 1000%")
    return value


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("base", type=Path, metavar="BASE.json", help="report that the others are compared with")
    parser.add_argument("others", type=Path, nargs="+", metavar="OTHER.json", help="reports of segfast-edge profile")
    parser.add_argument("--stage", default="inference", help="what to compare, for example end_to_end")
    parser.add_argument("--noise", default="2%", help="smaller differences are none (default %(default)s)")
    parser.add_argument(
        "--fail-if-slower", metavar="SHARE", help="exit 1 where one is slower by more, such as 5%%, or missing"
    )
    parser.add_argument("--require-valid", action="store_true", help="exit 5 where a measurement is void")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print each comparison; say by the exit status whether one is slower than allowed, or missing."""
    from segfast_edge.profiling.compare import compare

    limit = None if args.fail_if_slower is None else _share(args.fail_if_slower)
    comparisons = compare(args.base, args.others, stage=args.stage, noise=_share(args.noise))
    if args.json:
        print(json.dumps([each.to_json() for each in comparisons], indent=2, allow_nan=False))
    else:
        _show(comparisons)
    reports = [report for each in comparisons for runs in (each.base, each.other) for report in runs.reports]
    if args.require_valid and not all(report.valid for report in reports):
        raise InvalidMeasurementError("a measurement that was compared is void; see the notes")
    if limit is None:
        return 0
    missing = list(dict.fromkeys(line for each in comparisons for line in each.missing))
    if missing:  # what was renamed or left out would else never be slower again
        print(f"segfast-edge: {'; '.join(missing)}: whether it is slower is not known", file=sys.stderr)
    return EXIT_SLOWER if missing or any(each.slower_by_more_than(limit) for each in comparisons) else 0


def _show(comparisons: "list[Comparison]") -> None:
    from rich.table import Table

    from segfast_edge.cli._console import console

    table = Table(title=f"{comparisons[0].stage}, median in ms; ratio above 1 is slower than the base")
    for name in ("base", "other", "base ms", "other ms", "ratio", "95 % interval", "verdict"):
        table.add_column(name, justify="left" if name in ("base", "other", "verdict") else "right")
    for each in comparisons:
        value = each.to_json()
        low, high = value["interval"]
        times = (f"{value['base_p50_ms']:.3f}", f"{value['other_p50_ms']:.3f}", f"{value['ratio']:.3f}")
        table.add_row(each.base.name, each.other.name, *times, f"{low:.3f} to {high:.3f}", value["verdict"])
    screen = console()
    screen.print(table)
    for note in dict.fromkeys(note for each in comparisons for note in each.notes):
        screen.print(f"note: {note}", highlight=False, soft_wrap=True)
