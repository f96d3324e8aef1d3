"""segfast-edge evaluate: how well a network segments a labelled split."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segfast_edge.cli._dataset import chosen_options, dataset_name, dataset_options
from segfast_edge.cli._output import output_option
from segfast_edge.cli._packages import ENGINE

if TYPE_CHECKING:
    from segfast_edge.prediction.evaluate import Evaluation, GroundTruth
    from segfast_edge.prediction.evaluation_page import Second, Worst

HELP = "measure mIoU and other accuracy figures of a checkpoint or an artifact on a labelled split"
EXAMPLE = "segfast-edge evaluate runs/paper/best.pt --data camvid --data-root CamVid --split val"
NEEDS = {"artifacts": (ENGINE,), "checkpoints": ("torch",)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("subject", type=Path, metavar="CHECKPOINT_OR_ARTIFACT", help="a .pt file or an artifact folder")
    parser.add_argument("--data", metavar="NAME", help="dataset (default: found from --data-root, else scenes)")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="root folder of the dataset")
    parser.add_argument("--split", default="val", metavar="NAME", help="split to evaluate on (default val)")
    parser.add_argument("--protocol", metavar="NAME", help="paper or standard (default: the one it was trained under)")
    parser.add_argument(
        "--size",
        metavar="WHERE",
        help="compare labels at each picture's own size (own) or at the network's (network);"
        " default: own under standard, network under paper",
    )
    parser.add_argument(
        "--tta", metavar="LIST", help="average over flip, scales or flip,scales (checkpoints only; devices do not)"
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="for checkpoints: auto, cpu, cuda or mps")
    parser.add_argument("--target", default="x86", metavar="NAME", help="for artifacts: kind of computer (default x86)")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="also write an HTML page with the pictures of the lowest mIoU"
    )
    parser.add_argument(
        "--beside",
        type=Path,
        metavar="PATH",
        help="on the page, show beside each picture what another checkpoint or artifact makes of it, such as the int8"
        " file of the same network",
    )
    parser.add_argument(
        "--ranked",
        type=Path,
        metavar="FILE",
        help="also write the names of all pictures, lowest mIoU first, as a list file for train --split",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    output_option(parser, "FILE", "also write the JSON to a file")
    dataset_options(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate and print the figures."""
    from segfast_edge.cli._progress import bar
    from segfast_edge.contract.shared.files import replacing_file, write_json
    from segfast_edge.errors import SegfastError
    from segfast_edge.prediction.evaluate import GroundTruth, evaluate
    from segfast_edge.prediction.evaluation_page import Worst, write_evaluation
    from segfast_edge.prediction.predictor import open_predictor
    from segfast_edge.weights import find

    if args.beside is not None and args.page is None:
        raise SegfastError("--beside is for the page; add --page FILE")
    averaged = tuple(args.tta.split(",")) if args.tta else ()
    predictor = open_predictor(find(args.subject), device=args.device, target=args.target, averaged=averaged)
    data = dataset_name(args.data, args.data_root, chosen_options(args))
    truth = GroundTruth(data, args.data_root, args.split, args.protocol, args.size)
    worst = Worst()
    with bar("evaluating") as progress:
        found = evaluate(predictor, truth, progress, worst if args.page is not None else None)
    if args.page is not None:
        second = None if args.beside is None else _second(args, truth, worst)
        write_evaluation(args.page, found, worst, second)
    if args.ranked is not None:
        with replacing_file(args.ranked) as temporary:
            temporary.write_text("".join(f"{name}\n" for name, _ in found.worst(None)), encoding="utf-8")
    figures = {"path": str(args.subject), **_model(find(args.subject)), **found.to_json()}
    if args.output is not None:
        write_json(args.output, figures)
    if args.json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    else:
        _show(found, args.subject)
    return 0


def _second(args: argparse.Namespace, truth: "GroundTruth", worst: "Worst") -> "Second":
    from segfast_edge.cli._progress import bar
    from segfast_edge.prediction.evaluate import evaluate
    from segfast_edge.prediction.evaluation_page import Beside, Second
    from segfast_edge.prediction.predictor import open_predictor
    from segfast_edge.weights import find

    predictor, beside = (
        open_predictor(find(args.beside), device=args.device, target=args.target),
        Beside(worst.pictures),
    )
    with bar(f"evaluating {args.beside.name}") as progress:
        return Second(evaluate(predictor, truth, progress, beside), beside.predicted)


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
    from segfast_edge.prediction.metrics import DEFINITION, summary

    figures = found.to_json()
    table = Table(title=f"{path}: {found.subject} on {found.data} {found.split}, {found.frames} frames")
    table.add_column("class")
    columns = ("iou", "recall", "precision", "dice")
    for heading in ("IoU", "recall", "precision", "Dice", "share of pixels"):
        table.add_column(heading, justify="right")
    shares = found.matrix.counts.sum(1) / max(1, found.matrix.pixels)
    for name, share in zip(figures["iou"], shares, strict=True):
        values = ("absent" if (value := figures[key][name]) is None else f"{value:.4f}" for key in columns)
        table.add_row(name, *values, f"{share:.2%}")
    screen = console()
    screen.print(table)
    for line, style in (
        (f"{summary(figures)}  ({found.protocol})", None),
        (_more(found, figures), None),
        ("worst pictures: " + ", ".join(f"{name} {miou:.3f}" for name, miou in found.worst(5)), None),
        (DEFINITION, "dim"),
    ):
        screen.print(line, style=style, highlight=False, soft_wrap=True)


def _more(found: "Evaluation", figures: dict[str, Any]) -> str:
    low, high = found.interval
    parts = [f"mIoU over pictures drawn with replacement {low:.4f} to {high:.4f} (95 %)"]
    for key, name in (
        ("mean_class_accuracy", "mean class accuracy"),
        ("mean_dice", "mean Dice"),
        ("frequency_weighted_iou", "frequency-weighted IoU"),
        ("boundary_f1", f"boundary F1 within {found.boundary.reach} pixels"),
    ):
        if figures[key] is not None:
            parts.append(f"{name} {figures[key]:.4f}")
    return ", ".join(parts)
