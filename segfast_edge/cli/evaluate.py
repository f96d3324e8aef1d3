"""segfast-edge evaluate: how well a network segments a labelled split."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from segfast_edge.cli._dataset import chosen_options, dataset_name, dataset_options

if TYPE_CHECKING:
    from segfast_edge.evaluate import Evaluation

HELP = "measure pixel accuracy, mIoU and per-class IoU of a checkpoint or an artifact"
EXAMPLE = "segfast-edge evaluate runs/paper/best.pt --data camvid --data-root CamVid --split val"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("subject", type=Path, metavar="CHECKPOINT_OR_ARTIFACT", help="a .pt file or an artifact folder")
    parser.add_argument("--data", metavar="NAME", help="dataset (default: found from --data-root, else scenes)")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="the dataset's folder")
    parser.add_argument("--split", default="val", metavar="NAME", help="default val")
    parser.add_argument("--protocol", metavar="NAME", help="paper or standard (default: the one it was trained under)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="for a checkpoint: auto, cpu, cuda, mps")
    parser.add_argument("--target", default="x86", metavar="NAME", help="for an artifact: whose device code runs it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the JSON to a file")
    dataset_options(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate and print the figures."""
    from segfast_edge.cli._progress import bar
    from segfast_edge.contract.files import write_json
    from segfast_edge.evaluate import Truth, evaluate
    from segfast_edge.labeller import open_labeller
    from segfast_edge.weights import find

    labeller = open_labeller(find(args.subject), device=args.device, target=args.target)
    data = dataset_name(args.data, args.data_root, chosen_options(args))
    truth = Truth(data, args.data_root, args.split, args.protocol)
    with bar("evaluating") as progress:
        found = evaluate(labeller, truth, progress)
    figures = {"path": str(args.subject), **_model(find(args.subject)), **found.to_json()}
    if args.output is not None:
        write_json(args.output, figures)
    if args.json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    else:
        _show(found, args.subject)
    return 0


def _model(path: Path) -> dict[str, str]:
    """Return the checksum of an artifact's model, by which a page knows which profile belongs to it."""
    from segfast_edge.contract.manifest import Manifest

    if not path.is_dir():
        return {}
    manifest = Manifest.load(path)
    return {"sha256": manifest.files[manifest.model_file]}


def _show(found: "Evaluation", path: Path) -> None:
    from rich.table import Table

    from segfast_edge.cli._console import console
    from segfast_edge.metrics import DEFINITION, summary

    figures = found.to_json()
    table = Table(title=f"{path}: {found.subject} on {found.data} {found.split}, {found.frames} frames")
    table.add_column("class")
    table.add_column("IoU", justify="right")
    table.add_column("share of pixels", justify="right")
    shares = found.matrix.counts.sum(1) / max(1, found.matrix.pixels)
    for (name, iou), share in zip(figures["iou"].items(), shares, strict=True):
        table.add_row(name, "absent" if iou is None else f"{iou:.4f}", f"{share:.2%}")
    screen = console()
    screen.print(table)
    screen.print(f"{summary(figures)}  ({found.protocol})", highlight=False, soft_wrap=True)
    screen.print(f"{DEFINITION}; labels compared at the network's size", style="dim", highlight=False, soft_wrap=True)
