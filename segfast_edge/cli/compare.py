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
EXAMPLE = (
    "segfast-edge profile artifacts/old artifacts/new --repeat 6 --out both.json\n"
    "  segfast-edge compare both.json\n"
    "  segfast-edge compare before.json after.json --fail-if-slower 5%"
)
_TOO_FEW = "measure each side in several processes: segfast-edge profile ARTIFACT --repeat 6"
_NOT_VALID = "measure again on a quiet machine, or leave invalid runs out with --valid-only"

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
    parser.add_argument(
        "others",
        type=Path,
        nargs="*",
        metavar="OTHER.json",
        help="reports of segfast-edge profile (default: compare the artifacts in BASE with its first one)",
    )
    parser.add_argument(
        "--stage", default="inference", metavar="NAME", help="stage to compare, such as end_to_end (default inference)"
    )
    parser.add_argument(
        "--noise", default="2%", metavar="SHARE", help="treat smaller differences as no difference (default 2%%)"
    )
    parser.add_argument(
        "--rank",
        type=float,
        default=50,
        metavar="P",
        help="percentile of each process to compare; a low one looks past short disturbances (default 50, the median)",
    )
    parser.add_argument(
        "--fail-if-slower",
        metavar="SHARE",
        help="exit 1 if an artifact is more than SHARE (such as 5%%) slower than in BASE, or missing from OTHER",
    )
    parser.add_argument(
        "--valid-only", action="store_true", help="leave invalid runs out; without it a single one prevents a verdict"
    )
    parser.add_argument(
        "--require-valid", action="store_true", help="exit 5 if a run is invalid or a side has a single run"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print each comparison; the exit status shows whether one is slower than allowed, or missing."""
    from segfast_edge.profiling.compare import Question, compare

    limit = None if args.fail_if_slower is None else _share(args.fail_if_slower)
    question = Question(args.stage, _share(args.noise), args.rank, args.valid_only)
    comparisons = compare(args.base, args.others, question)
    if args.json:
        print(json.dumps([each.to_json() for each in comparisons], indent=2, allow_nan=False))
    else:
        _show(comparisons)
    undecided = list(dict.fromkeys(f"{each.other.name}: {each.verdict}" for each in comparisons if not each.decided))
    if args.require_valid and undecided:
        raise InvalidMeasurementError(f"{'; '.join(undecided)}. To get a verdict, {_remedy(comparisons)}")
    if limit is None:
        return 0
    missing = list(dict.fromkeys(line for each in comparisons for line in each.missing))
    if missing:  # an artifact that was renamed or left out would otherwise never be slower again
        print(f"segfast-edge: {'; '.join(missing)}: cannot tell whether it is slower", file=sys.stderr)
    if undecided:
        words = "whether it is slower is not known; to know, "
        print(f"segfast-edge: {'; '.join(undecided)}: {words}{_remedy(comparisons)}", file=sys.stderr)
    return EXIT_SLOWER if missing or any(each.slower_by_more_than(limit) for each in comparisons) else 0


def _remedy(comparisons: "list[Comparison]") -> str:
    """Return what to do about comparisons without a verdict."""
    from segfast_edge.profiling.compare import INVALID, ONE_RUN

    verdicts = {each.verdict for each in comparisons}
    return "; ".join(words for verdict, words in ((ONE_RUN, _TOO_FEW), (INVALID, _NOT_VALID)) if verdict in verdicts)


def _show(comparisons: "list[Comparison]") -> None:
    from rich.table import Table

    from segfast_edge.cli._console import console

    rank = comparisons[0].rank
    name = "median" if rank == 50 else f"percentile {rank:g}"
    table = Table(title=f"{comparisons[0].stage}, {name} in ms; ratio above 1 is slower than the base")
    for name in ("base", "other", "runs", "base ms", "other ms", "ratio", "95 % interval", "verdict"):
        table.add_column(name, justify="left" if name in ("base", "other", "verdict") else "right")
    for each in comparisons:
        value = each.to_json()
        runs = f"{len(each.base.reports)}, {len(each.other.reports)}"
        times = (*(f"{ms:.3f}" for ms in each.times_ms), f"{each.ratio:.3f}")
        interval = "unknown" if each.interval is None else "{:.3f} to {:.3f}".format(*each.interval)
        table.add_row(each.base.name, each.other.name, runs, *times, interval, value["verdict"])
    screen = console()
    screen.print(table)
    for note in dict.fromkeys(note for each in comparisons for note in each.notes):
        screen.print(f"note: {note}", highlight=False, soft_wrap=True)
