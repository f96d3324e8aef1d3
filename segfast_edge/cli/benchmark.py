"""``segfast-edge benchmark``."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from segfast_edge.cli._dataset import chosen_options, dataset_name, dataset_options
from segfast_edge.cli._packages import ENGINE

if TYPE_CHECKING:
    from segfast_edge.benchmarking import BenchmarkRow

HELP = "compare formats and precisions in one table: accuracy, agreement with torch, latency, size, memory"
EXAMPLE = "segfast-edge benchmark camvid-standard-segfast --data camvid --data-root CamVid --threads 1"
NEEDS = {"artifacts": (ENGINE,), "checkpoints": ("torch",), "the page's plot": ("matplotlib",)}
SCENES = "scenes:train=32,val=16"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "models",
        nargs="+",
        type=Path,
        metavar="MODEL",
        help="a .pt file or shipped weights, which are converted to every format; or an artifact, measured as it is",
    )
    parser.add_argument("--data", metavar="NAME", help="dataset (default: found from --data-root, else drawn scenes)")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="root folder of the dataset")
    parser.add_argument("--split", default="val", metavar="NAME", help="split to measure accuracy on (default val)")
    parser.add_argument("--protocol", metavar="NAME", help="paper or standard (default: the one it was trained under)")
    parser.add_argument("--formats", metavar="LIST", help="formats to convert to, with commas between (default all)")
    parser.add_argument("--precisions", metavar="LIST", help="float32, int8 or both (default float32,int8)")
    parser.add_argument(
        "--calibration-frames", type=int, default=32, metavar="N", help="frames of train for int8 (default 32)"
    )
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads of the engine (default all)")
    parser.add_argument("--min-secs", type=float, default=2.0, metavar="S", help="seconds of timed runs (default 2)")
    parser.add_argument("--target", default="x86", metavar="NAME", help="kind of computer to measure on (default x86)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="new folder in which to keep the artifacts")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("-o", "--out", dest="output", type=Path, metavar="FILE", help="also write the JSON to a file")
    parser.add_argument("--page", type=Path, metavar="FILE", help="also write a page with the table and a plot")
    dataset_options(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print the table."""
    from segfast_edge.contract.shared.files import check_writable, replacing_folder, write_json
    from segfast_edge.page.benchmarks import write_benchmark

    for path in filter(None, (args.output, args.page)):
        check_writable(path)
    if args.keep is None:
        with TemporaryDirectory(prefix="segfast-benchmark-") as folder:
            rows = _rows(args, Path(folder))
    else:
        with replacing_folder(args.keep) as folder:
            rows = _rows(args, folder)
    figures = [row.to_json() for row in rows]
    if args.output is not None:
        write_json(args.output, figures)
    if args.page is not None:
        write_benchmark(args.page, _title(rows, _data(args), args.split), figures)
    if args.json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    else:
        _show(rows, _data(args), args.split)
    return 0


def _data(args: argparse.Namespace) -> str:
    if args.data is None and args.data_root is None:
        return SCENES
    return dataset_name(args.data, args.data_root, chosen_options(args))


def _rows(args: argparse.Namespace, folder: Path) -> "list[BenchmarkRow]":
    from segfast_edge.benchmarking import PRECISIONS, BenchmarkRequest, all_formats, benchmark
    from segfast_edge.cli._progress import status
    from segfast_edge.contract.profile_options import ProfileOptions
    from segfast_edge.prediction.evaluate import GroundTruth
    from segfast_edge.weights import find

    request = BenchmarkRequest(
        [find(model) for model in args.models],
        GroundTruth(_data(args), args.data_root, args.split, args.protocol),
        folder,
        _chosen("format", args.formats, all_formats()),
        _chosen("precision", args.precisions, PRECISIONS),
        ProfileOptions(threads=args.threads, min_secs=args.min_secs),
        args.target,
        args.calibration_frames,
    )
    with status("measuring") as announce:
        return list(benchmark(request, announce))


def _chosen(kind: str, text: str | None, known: Sequence[str]) -> Sequence[str]:
    from segfast_edge.errors import SegfastError, unknown

    if text is None:
        return known
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        if name not in known:
            raise SegfastError(unknown(kind, name, known))
    if not names:
        raise SegfastError(f"no {kind} is named; known: {', '.join(known)}")
    return names


def _title(rows: "Sequence[BenchmarkRow]", data: str, split: str) -> str:
    models = {row.model for row in rows}
    return f"{next(iter(models)) + ': ' if len(models) == 1 else ''}accuracy on {data} {split}"


def _show(rows: "Sequence[BenchmarkRow]", data: str, split: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    from segfast_edge.cli._console import console
    from segfast_edge.page.benchmarks import COLUMNS, cells, names, note, problems

    screen = console()
    figures = [row.to_json() for row in rows]
    table = Table(title=_title(rows, data, split))
    for name in names(figures):
        table.add_column(name, no_wrap=True)
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for row in figures:
        table.add_row(*(row[name] for name in names(figures)), *cells(row))
    screen.print(table)
    for line in problems(figures):
        screen.print(escape(line), highlight=False, soft_wrap=True)
    screen.print(note(figures), style="dim", highlight=False, soft_wrap=True)
