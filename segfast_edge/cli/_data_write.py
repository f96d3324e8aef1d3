"""The actions of segfast-edge data that write: convert and export a dataset, lists of its splits, and of frames."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from segfast_edge.cli._dataset import chosen_options, dataset_options
from segfast_edge.cli._output import output_option
from segfast_edge.errors import DataError

if TYPE_CHECKING:
    from segfast_edge.data.pairs import PairedSource
    from segfast_edge.data.sample import Source


def _source_and_output(parser: argparse.ArgumentParser, metavar: str, text: str) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of the dataset")
    output_option(parser, metavar, text, required=True)
    parser.add_argument(
        "--from", dest="layout", default="auto", metavar="NAME", help="layout of the dataset (default: recognised)"
    )


def convert_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``data convert``."""
    _source_and_output(parser, "FOLDER", "folder to write; must be new")
    parser.add_argument("--split", metavar="NAME", help="split to convert (default: all splits)")
    parser.add_argument("--count", type=int, metavar="N", help="number of samples per split (default: all)")
    dataset_options(parser)


def convert(args: argparse.Namespace) -> int:
    """Write a dataset of any layout as images/, labels/ and classes.json."""
    name, source = _opened(args)
    splits = (args.split,) if args.split else _own_splits(source)
    return _export(source, args.output, splits, args.count, name)


def _opened(args: argparse.Namespace) -> tuple[str, "Source"]:
    from segfast_edge.data import open_source, with_options
    from segfast_edge.data.recognise import recognise

    if args.layout == "auto":
        return recognise(args.source, chosen_options(args))
    name = with_options(args.layout, chosen_options(args))
    return name, open_source(name, args.source)


def _own_splits(source: "Source") -> tuple[str, ...]:
    """Return the dataset's own splits, or everything if it has none; splits that were asked for are its own."""
    from segfast_edge.data.pairs import EVERYTHING, PairedSource

    record = source.record if isinstance(source, PairedSource) else {}
    asked = "groups" in record or {"train", "val"} & set(record.get("options", {}))
    if EVERYTHING in source.splits and not asked:
        return (EVERYTHING,)
    return tuple(split for split in source.splits if split != EVERYTHING)


def _export(source: "Source", out: Path, splits: tuple[str, ...], count: int | None, name: str) -> int:
    from segfast_edge.cli._progress import bar
    from segfast_edge.data.folder_export import export_folder

    if count is not None and count < 1:
        raise DataError(f"--count {count}; at least 1 is needed")
    with bar("writing") as progress:
        written = export_folder(source, out, splits, count=count, progress=progress)
    print(f"{name}: {written} samples of {', '.join(splits)} in {out}: --data folder --data-root {out}")
    return 0


def export_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``data export``."""
    parser.add_argument("name", metavar="NAME", help="dataset, for example scenes or scenes:size=360x480,seed=7")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="root folder of the dataset")
    parser.add_argument("--split", metavar="NAME", help="split to export (default: all splits)")
    parser.add_argument("--count", type=int, metavar="N", help="number of samples per split (default: all)")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder to write; must be new")


def export(args: argparse.Namespace) -> int:
    """Write a dataset that is known by its name as images/, labels/ and classes.json."""
    from segfast_edge.data import open_source
    from segfast_edge.data.pairs import EVERYTHING

    source = open_source(args.name, args.data_root)
    splits = (args.split,) if args.split else tuple(s for s in source.splits if s != EVERYTHING)
    return _export(source, args.out, splits, args.count, args.name)


def split_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``data split``."""
    _source_and_output(parser, "DIR", "folder to write the lists to")
    parser.add_argument("--each-group", action="store_true", help="one fold per group, with it as val")
    parser.add_argument("--json", action="store_true", help="print JSON")
    dataset_options(parser)


def split(args: argparse.Namespace) -> int:
    """Write lists of train and val, one picture a line, or two lists for each group."""
    from segfast_edge.data.split_lists import write_lists
    from segfast_edge.data.splits import folds

    if args.each_group and args.group is None:
        raise DataError("--each-group needs --group REGEX, which finds the group in a picture's name")
    _, source = _opened(args)
    paired = _on_disk(source, args.source)
    pairs = folds(paired) if args.each_group else {"": {s: paired.listing(s).pairs for s in ("train", "val")}}
    lists = {
        f"{fold}.{name}" if fold else name: chosen for fold, both in pairs.items() for name, chosen in both.items()
    }
    written = write_lists(lists, args.output, args.source)
    if args.json:
        print(json.dumps({str(path): count for path, count in written.items()}, indent=2))
        return 0
    for path, count in written.items():
        print(f"{path}: {count} pictures")
    train, val = list(written)[:2]
    print(f"train with them: --data-root {args.source} --split {train} --val-split {val}")
    return 0


def _on_disk(source: "Source", root: Path) -> "PairedSource":
    from segfast_edge.data.pairs import PairedSource

    if not isinstance(source, PairedSource):
        raise DataError(f"{root} has no files to list")
    return source


def calibration_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``data calibration``."""
    parser.add_argument("name", metavar="NAME", help="name of the dataset")
    parser.add_argument("--data-root", type=Path, required=True, metavar="DIR", help="root folder of the dataset")
    parser.add_argument(
        "--split", default="train", metavar="NAME", help="split to choose from, not val or test (default train)"
    )
    parser.add_argument("--count", type=int, default=300, metavar="N", help="number of frames to choose (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice (default 0)")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="file to write the list to")


def calibration(args: argparse.Namespace) -> int:
    """Write a list of frames to calibrate int8 with."""
    from segfast_edge.data.calibration import choose

    chosen = choose(args.name, args.data_root, split=args.split, count=args.count, seed=args.seed)
    chosen.save(args.out)
    print(f"{len(chosen.entries)} frames of {args.name} {args.split} listed in {args.out}")
    return 0
