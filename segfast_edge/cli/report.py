"""segfast-edge report: profiles as one self-contained page."""

import argparse
import sys
from pathlib import Path

HELP = "draw profiles into one HTML page: distribution, timeline, stages, layers, accuracy against latency"
EXAMPLE = "segfast-edge report openvino.json tflite.json --accuracy evaluation.json -o report.html"
NEEDS = {"plots": ("matplotlib",)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("profiles", type=Path, nargs="+", metavar="PROFILE", help="reports of segfast-edge profile")
    parser.add_argument(
        "--accuracy", type=Path, nargs="+", default=[], metavar="FILE", help="evaluations by segfast-edge evaluate"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="page to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing page")


def run(args: argparse.Namespace) -> int:
    """Write the page and say where it is."""
    from segfast_edge.contract.report import read_reports
    from segfast_edge.errors import ArtifactError
    from segfast_edge.page.profiles import write_profiles

    if args.out.exists() and not args.overwrite:
        raise ArtifactError(f"{args.out} exists already. Choose another --out, or pass --overwrite")
    plotted = write_profiles(
        args.out, [report for path in args.profiles for report in read_reports(path)], args.accuracy
    )
    if not plotted:
        print("the page has tables but no plots. For plots, run: pip install matplotlib", file=sys.stderr)
    print(f"open {args.out.resolve()} in a browser")
    return 0
