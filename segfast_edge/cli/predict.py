"""segfast-edge predict: masks and overlays of pictures."""

import argparse
import json
from pathlib import Path

from segfast_edge.cli._packages import ENGINE
from segfast_edge.weights import DEFAULT

HELP = "segment pictures: a mask, a coloured mask and an overlay for each"
EXAMPLE = "segfast-edge predict photo.jpg --model runs/paper/best.pt --out predictions"
NEEDS = {"artifacts": (ENGINE,), "checkpoints": ("torch",)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="pictures, or folders of pictures")
    parser.add_argument(
        "--model",
        type=Path,
        default=Path(DEFAULT),
        metavar="PATH",
        help="a .pt file, an artifact folder, or the name of shipped weights (default %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("predicted"),
        metavar="DIR",
        help="output folder (default predicted); DIR2, DIR3, ... if DIR already holds results for these pictures",
    )
    parser.add_argument("--convert-rgb", action="store_true", help="accept greyscale, alpha, CMYK and 16-bit pictures")
    parser.add_argument("--opacity", type=float, default=0.5, metavar="PART", help="of the overlay (default 0.5)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing results; do not number")
    parser.add_argument("--device", default="auto", metavar="NAME", help="for a checkpoint: auto, cpu, cuda, mps")
    parser.add_argument("--target", default="x86", metavar="NAME", help="for an artifact: whose device code runs it")
    parser.add_argument("--json", action="store_true", help="print JSON: files and class shares per picture")


def run(args: argparse.Namespace) -> int:
    """Predict and say what was written."""
    from segfast_edge.cli._progress import bar
    from segfast_edge.prediction.predict import Style, free_folder, plan, predict
    from segfast_edge.prediction.predictor import open_predictor
    from segfast_edge.weights import find

    style = Style(args.convert_rgb, args.opacity)
    predictor = open_predictor(find(args.model), device=args.device, target=args.target)
    with bar("checking") as progress:
        jobs = plan(args.images, style, progress)
    out = args.out if args.overwrite else free_folder(args.out, jobs)
    done = []
    with bar("segmenting") as progress:
        for prediction in predict(predictor, jobs, out, style=style):
            done.append(prediction)
            progress(len(done), len(jobs))
    if args.json:
        print(json.dumps([prediction.to_json() for prediction in done], indent=2, ensure_ascii=False))
        return 0
    for prediction in done:
        largest = sorted(prediction.shares.items(), key=lambda item: -item[1])[:3]
        shares = ", ".join(f"{name} {share:.0%}" for name, share in largest)
        print(f"{prediction.picture}: {prediction.files['overlay']} ({shares})")
    print(f"{len(done)} pictures segmented by the {predictor.described}; mask, colour and overlay of each in {out}")
    return 0
