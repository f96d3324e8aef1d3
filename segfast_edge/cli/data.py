"""segfast-edge data: check a dataset, convert it, split it, list frames for calibration."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from segfast_edge.cli import _data_write as _write
from segfast_edge.cli._dataset import chosen_options, dataset_options
from segfast_edge.errors import DataError, unknown

if TYPE_CHECKING:
    from segfast_edge.contract.shared.images import Frame, Labels
    from segfast_edge.data.check import Check
    from segfast_edge.data.sample import Source

HELP = "check, convert and split datasets, and choose frames for calibration"
EXAMPLE = "segfast-edge data check scenes:train=8,val=4,test=4"
SHOWN = 20  # problems printed in full; JSON has them all
SAMPLES_PER_SPLIT = 2
AUGMENTED_PICTURES, AUGMENTED_EPOCHS = 3, 3  # what the sheet of --augmented shows


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _check_arguments(actions.add_parser("check", help="report what a dataset holds; exit 2 if something is wrong"))
    _write.convert_arguments(
        actions.add_parser("convert", help="write a folder of any known layout as images/, labels/ and classes.json")
    )
    _write.export_arguments(actions.add_parser("export", help="write a named dataset, such as scenes"))
    _write.split_arguments(actions.add_parser("split", help="write lists of train and val that keep groups together"))
    _write.calibration_arguments(actions.add_parser("calibration", help="choose frames to calibrate int8 with"))


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="PATH_OR_NAME", help="folder of a dataset, or a name such as scenes")
    parser.add_argument("--dataset", metavar="NAME", help="layout of the folder (default: recognised)")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="root folder, if the dataset is named")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write a sheet of samples to this picture")
    parser.add_argument(
        "--augmented", type=Path, metavar="FILE", help="write a sheet of pictures as a training sees them"
    )
    parser.add_argument("--recipe", default="edge", metavar="NAME", help="recipe that --augmented shows (default edge)")
    parser.add_argument(
        "--effects", metavar="LIST", help="effects that --augmented adds, as train --effects takes them"
    )
    dataset_options(parser)


def run(args: argparse.Namespace) -> int:
    """Do what the action says."""
    actions = {
        "check": _check,
        "convert": _write.convert,
        "export": _write.export,
        "split": _write.split,
        "calibration": _write.calibration,
    }
    return actions[args.action](args)


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
    if args.augmented is not None:
        write_picture(args.augmented, _augmented_sheet(source, args.recipe, args.effects))
    if found.problems:
        raise DataError(f"{len(found.problems)} problem(s) in {args.subject}; the first: {found.problems[0]}")
    return 0


def _opened(args: argparse.Namespace) -> tuple[str, "Source"]:
    from segfast_edge.data import datasets, open_source, parse_name, with_options
    from segfast_edge.data.recognise import recognise

    folder, options = Path(args.subject), chosen_options(args)
    if args.dataset not in (None, "auto"):
        name = with_options(args.dataset, options)
        return name, open_source(name, folder)
    stem = args.subject.partition(":")[0]
    if not folder.is_dir() and (stem in datasets() or ":" in parse_name(args.subject)[0]):
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


def _augmented_sheet(source: "Source", recipe_name: str, effects: str | None) -> "Frame":
    """Show a few training pictures over a few epochs."""
    from segfast_edge.data.contact_sheet import sheet
    from segfast_edge.data.protocol import Protocol
    from segfast_edge.data.sample import Sample
    from segfast_edge.training.augmenting import augmented
    from segfast_edge.training.recipe import recipe

    chosen = recipe(recipe_name).changed({"augment": True, "effects": tuple(filter(None, (effects or "").split(",")))})
    train = source.open("train")
    change = augmented(chosen, Protocol.named("standard", source.size), train, 0)

    def read(index: int) -> "tuple[Frame, Labels]":
        return train[index].frame, train[index].labels

    pictures = range(min(len(train), AUGMENTED_PICTURES))
    pairs = [change(epoch, index, read) for index in pictures for epoch in range(AUGMENTED_EPOCHS)]
    return sheet([Sample(str(number), *pair) for number, pair in enumerate(pairs)], source.classes)
