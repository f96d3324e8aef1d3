"""segfast-edge data: look at a dataset, write one as a folder, list frames for calibration."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from segfast_edge.cli._dataset import chosen_options, dataset_options
from segfast_edge.errors import DataError, unknown

if TYPE_CHECKING:
    from segfast_edge.contract.shared.images import Frame
    from segfast_edge.data.check import Check
    from segfast_edge.data.sample import Source

HELP = "look at a dataset, write one as images/ and labels/, list frames for calibration"
EXAMPLE = "segfast-edge data check scenes:train=8,val=4,test=4"
SHOWN = 20  # problems printed in full; JSON has them all
SAMPLES_PER_SPLIT = 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's three actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _check_arguments(
        actions.add_parser(
            "check", help="report what a dataset holds and what is wrong with it; exit 2 if something is"
        )
    )
    _export_arguments(actions.add_parser("export", help="write a dataset as images/, labels/ and classes.json"))
    _calibration_arguments(actions.add_parser("calibration", help="choose frames to calibrate int8 with"))


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="PATH_OR_NAME", help="a dataset's folder, or a name such as scenes")
    parser.add_argument("--dataset", metavar="NAME", help="the folder's layout (default: found by looking)")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="the folder, where a name was given")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write a sheet of samples")
    dataset_options(parser)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="dataset, for example scenes or scenes:size=360x480,seed=7")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="the dataset's folder")
    parser.add_argument("--split", metavar="NAME", help="default all of them")
    parser.add_argument("--count", type=int, metavar="N", help="samples per split (default all)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that is not there yet")


def _calibration_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="dataset")
    parser.add_argument("--data-root", type=Path, required=True, metavar="DIR", help="the dataset's folder")
    parser.add_argument("--split", default="train", metavar="NAME", help="default train; val and test are refused")
    parser.add_argument("--count", type=int, default=300, metavar="N", help="frames (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the list goes")


def run(args: argparse.Namespace) -> int:
    """Do what the action says."""
    return {"check": _check, "export": _export, "calibration": _calibration}[args.action](args)


def _check(args: argparse.Namespace) -> int:
    from segfast_edge.cli._progress import bar
    from segfast_edge.contract.shared.images import write_picture
    from segfast_edge.data.check import check

    name, source = _opened(args)
    with bar("reading") as progress:
        found = check(name, source, progress)
    if args.json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        _show(found)
    if args.picture is not None:
        write_picture(args.picture, _sheet(source))
    if found.problems:
        raise DataError(f"{len(found.problems)} problem(s) in {args.subject}; the first: {found.problems[0]}")
    return 0


def _opened(args: argparse.Namespace) -> tuple[str, "Source"]:
    from segfast_edge.data import datasets, open_source, with_options
    from segfast_edge.data.recognise import recognise

    folder, options = Path(args.subject), chosen_options(args)
    if args.dataset not in (None, "auto"):
        name = with_options(args.dataset, options)
        return name, open_source(name, folder)
    if args.subject.partition(":")[0] in datasets() and not folder.is_dir():
        name = with_options(args.subject, options)
        return name, open_source(name, args.data_root)
    if not folder.is_dir():
        raise DataError(f"no such folder: {folder}, and {unknown('dataset', args.subject, datasets())}")
    return recognise(folder, options)


def _show(found: "Check") -> None:
    from rich.markup import escape
    from rich.table import Table

    from segfast_edge.cli._console import console

    table = Table(title=f"{found.name}: {len(found.classes)} classes")
    table.add_column("class")
    for split in found.splits:
        table.add_column(split.split, justify="right")
    table.add_row("samples", *(str(split.samples) for split in found.splits))
    sizes = [", ".join(f"{h}x{w} ({n})" for (h, w), n in split.sizes.most_common(3)) for split in found.splits]
    table.add_row("sizes", *sizes, end_section=True)
    shares = [split.shares(found.classes) for split in found.splits]
    for name in found.classes.names:
        table.add_row(escape(name), *(f"{share[name]:.2%}" for share in shares))
    table.add_section()
    table.add_row("not counted", *(f"{split.void_share(found.classes):.2%}" for split in found.splits))
    screen = console()
    screen.print(table)
    if found.absent:
        screen.print(escape(f"no pixel of: {', '.join(found.absent)}"))
    for warning in found.warnings:
        screen.print(escape(f"warning: {warning}"), soft_wrap=True)
    for problem in found.problems[:SHOWN]:
        screen.print(escape(problem), soft_wrap=True)
    if len(found.problems) > SHOWN:
        screen.print(f"... and {len(found.problems) - SHOWN} more; --json has them all")


def _sheet(source: "Source") -> "Frame":
    from segfast_edge.data.check import parts, readable
    from segfast_edge.data.contact_sheet import sheet

    samples = [sample for split in parts(source) for sample in readable(source, split, SAMPLES_PER_SPLIT)]
    if not samples:
        raise DataError("no sample could be read, so there is nothing to picture")
    return sheet(samples, source.classes)


def _export(args: argparse.Namespace) -> int:
    from segfast_edge.cli._progress import bar
    from segfast_edge.data import open_source
    from segfast_edge.data.folder_export import export_folder
    from segfast_edge.data.pairs import EVERYTHING

    if args.count is not None and args.count < 1:
        raise DataError(f"--count {args.count}; at least 1 is needed")
    source = open_source(args.name, args.data_root)
    splits = (args.split,) if args.split else tuple(s for s in source.splits if s != EVERYTHING)
    with bar("writing") as progress:
        written = export_folder(source, args.out, splits, count=args.count, progress=progress)
    print(f"{written} samples of {', '.join(splits)} in {args.out}: --data folder --data-root {args.out}")
    return 0


def _calibration(args: argparse.Namespace) -> int:
    from segfast_edge.data.calibration import choose

    chosen = choose(args.name, args.data_root, split=args.split, count=args.count, seed=args.seed)
    chosen.save(args.out)
    print(f"{len(chosen.entries)} frames of {args.name} {args.split} listed in {args.out}")
    return 0
