"""segfast-edge predict: masks and overlays of pictures."""

import argparse
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segfast_edge.cli._packages import ENGINE
from segfast_edge.errors import DataError
from segfast_edge.weights import DEFAULT

if TYPE_CHECKING:
    from segfast_edge.prediction.predict import Prediction

HELP = "segment pictures and videos: a mask, a coloured mask and an overlay of each"
EXAMPLE = "segfast-edge predict photos 'more/*.png' drive.mp4 --model runs/paper/best.pt --out predictions"
NEEDS = {"artifacts": (ENGINE,), "checkpoints": ("torch",), "videos": ("cv2",)}
SHOWN = 20  # problems printed in full; JSON has them all


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    from segfast_edge.prediction.saving import DEFAULT_KINDS, KINDS

    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="pictures, videos, folders or patterns; - takes a picture, or names of them, from standard input",
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=Path(DEFAULT),
        metavar="PATH",
        help="a .pt file, an artifact folder, or the name of shipped weights (default %(default)s)",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("predicted"),
        metavar="DIR",
        help="output folder (default predicted); DIR2, DIR3, ... if DIR already holds results for these pictures",
    )
    parser.add_argument(
        "--save",
        default=",".join(DEFAULT_KINDS),
        metavar="LIST",
        help=f"what to write, with commas between: {', '.join(KINDS)} (default %(default)s)",
    )
    parser.add_argument(
        "--classes", metavar="LIST", help="classes to show, with commas between (default all); labels stay complete"
    )
    parser.add_argument(
        "--shard", metavar="I/N", help="segment the Ith of N equal parts, for several jobs with one --out; resumes"
    )
    parser.add_argument("--resume", action="store_true", help="skip pictures whose results are in --out already")
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="threads of an artifact's engine (default: all)"
    )
    parser.add_argument("--opacity", type=float, default=0.5, metavar="X", help="overlay opacity, 0 to 1 (default 0.5)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing results in DIR instead of numbering")
    parser.add_argument("--device", default="auto", metavar="NAME", help="for checkpoints: auto, cpu, cuda or mps")
    parser.add_argument("--target", default="x86", metavar="NAME", help="for artifacts: kind of computer (default x86)")
    parser.add_argument("--json", action="store_true", help="print JSON: files and class shares per picture")


def run(args: argparse.Namespace) -> int:
    """Predict, say what was written, and at the end what could not be read."""
    from segfast_edge.cli._progress import bar
    from segfast_edge.prediction.predict import PredictionOutput, free_folder, plan, predict, shard_of
    from segfast_edge.prediction.predictor import open_predictor
    from segfast_edge.prediction.saving import Look, kinds_of, shown_of
    from segfast_edge.weights import find

    look = Look(args.opacity)
    kinds = kinds_of(args.save)
    predictor = open_predictor(find(args.model), device=args.device, target=args.target, threads=args.threads)
    look = replace(look, shown=shown_of(args.classes, predictor.classes))
    jobs = plan(args.sources, kinds)
    if args.shard is not None:
        jobs = shard_of(jobs, args.shard)
    resume = args.resume or (args.shard is not None and not args.overwrite)
    folder = args.out if args.overwrite or resume else free_folder(args.out, jobs)
    with bar("segmenting") as progress:
        steps = itertools.count(1)
        total = sum(job.frames() for job in jobs if not (resume and job.is_done(folder)))
        output = PredictionOutput(folder, look, lambda: progress(next(steps), total), resume)
        found = list(predict(predictor, jobs, output))
    _finish(args, folder, found)
    done = [each for each in found if not each.problem]
    if args.json:
        print(json.dumps([prediction.to_json() for prediction in found], indent=2, ensure_ascii=False))
    else:
        _show(done, f"segmented by the {predictor.described}; results in {folder}")
    _complain([each.problem for each in found if each.problem], len(found))
    return 0


def _finish(args: argparse.Namespace, folder: Path, found: "list[Prediction]") -> None:
    """Join what pictures have of one document, and note the options."""
    from segfast_edge.prediction.saving import join_coco

    part = "" if args.shard is None else f"-{args.shard.replace('/', 'of')}"
    parts = [each.files["coco"] for each in found if "coco" in each.files]
    if parts:
        join_coco(parts, folder / f"coco{part}.json")
    args.options_paths = [folder / f"predict{part}.toml"] if folder.is_dir() else []


def _show(done: "list[Prediction]", how: str) -> None:
    before = sum(each.done_before for each in done)
    for prediction in done:
        if prediction.done_before:
            continue
        largest = sorted(prediction.shares.items(), key=lambda item: -item[1])[:3]
        shares = ", ".join(f"{name} {share:.0%}" for name, share in largest)
        file = prediction.files.get("overlay") or next(iter(prediction.files.values()))
        print(f"{prediction.picture}: {file} ({shares})")
    new = len(done) - before
    print(f"{new} {'picture' if new == 1 else 'pictures'} {how}" + (f"; {before} were done before" if before else ""))


def _complain(problems: list[str], count: int) -> None:
    """Name what could not be read, and end with an error."""
    if len(problems) > 1:
        for problem in problems[:SHOWN]:
            print(f"segfast-edge: {problem}", file=sys.stderr)
        raise DataError(f"{len(problems)} of {count} could not be segmented")
    if problems:
        raise DataError(problems[0])
