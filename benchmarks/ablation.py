"""What each piece of the recipe ``edge`` is worth: the same short training with one thing changed, one after another.

    python benchmarks/ablation.py --data camvid --data-root CamVid [--model segfast] [--size 160x208] [--epochs 16]

Each row is a whole training from random weights through ``segfast-edge train``, in a folder of its own below
``--output-dir``. What is finished is not run again, and Ctrl-C loses at most the step in progress: the same command
goes on. Short trainings on small pictures: they rank the pieces, their figures are not those of a full training.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.training.run_folder import RunFolder

FULL = ("--recipe", "edge", "--lr", "0.004", "--warmup-epochs", "2", "--val-every", "4")
ROWS: dict[str, tuple[str, ...]] = {
    "all of it": (),
    "all of it, another seed": ("--seed", "1"),
    "no augmentation": ("--no-augment",),
    "cross-entropy without Lovasz": ("--loss", "ce"),
    "OHEM instead": ("--loss", "ohem"),
    "cross-entropy + Dice instead": ("--loss", "ce+dice"),
    "cross-entropy with class weights instead": ("--loss", "ce", "--class-weights"),
    "no averaged weights": ("--ema", "0"),
    "constant learning rate": ("--schedule", "constant"),
    "cosine instead of poly": ("--schedule", "cosine"),
    "SGD 0.05 instead of AdamW": ("--optimiser", "sgd", "--lr", "0.05", "--weight-decay", "0.0005"),
    "the paper's recipe": ("--recipe", "paper", "--lr", "0.001", "--warmup-epochs", "0", "--patience", "0"),
}
WITH_TEACHER = "with a teacher"


def rows_of(args: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    """Return the rows to run: all, or those that ``--rows`` names by number, from 1."""
    rows = dict(ROWS)
    if args.teacher is not None:
        rows[WITH_TEACHER] = ("--teacher", str(args.teacher))
    names = list(rows)
    if args.rows and not set(args.rows) <= set(range(1, len(names) + 1)):
        sys.exit(f"--rows are 1 to {len(names)}")
    return {name: rows[name] for number, name in enumerate(names, 1) if not args.rows or number in args.rows}


def folder_of(args: argparse.Namespace, name: str) -> RunFolder:
    """Return a row's folder; for another teacher or other options of the data, choose another ``--output-dir``."""
    words = [args.data.partition(":")[0], args.model.rpartition(":")[2], args.size, f"{args.epochs}-epochs", name]
    return RunFolder(args.output_dir / re.sub(r"\W+", "-", " ".join(words)))


def train(args: argparse.Namespace, name: str, changes: tuple[str, ...]) -> dict[str, Any]:
    """Run, or go on with, one row's training; return its figures."""
    run = folder_of(args, name)
    history = run.history()
    if not history or history[-1]["epoch"] < args.epochs:
        words = ["--data", args.data, "--protocol", "standard", "--model", args.model, "--size", args.size]
        words += ["--data-root", str(args.data_root)] if args.data_root else []
        words += [*FULL, "--epochs", str(args.epochs), *changes]
        if run.last.is_file():
            words = ["--resume"]
        command = [sys.executable, "-m", "segfast_edge", "train", *words, "--output-dir", str(run.path)]
        status = subprocess.run(command, check=False, stdout=sys.stderr).returncode
        if status:
            sys.exit(status)
    best = max((r for r in run.history() if r["val"]), key=lambda r: r["val"]["miou"])
    seconds = sum(record["seconds"] for record in run.history())
    return {
        "row": name,
        "pixel_accuracy": best["val"]["pixel_accuracy"],
        "miou": best["val"]["miou"],
        "epoch": best["epoch"],
        "seconds": round(seconds),
        "protocol": best["protocol"],
    }


def main() -> None:
    """Train every row and print the table."""
    parser = ExactParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="scenes")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--model", default="segfast")
    parser.add_argument("--size", default="160x208")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--teacher", type=Path, metavar="CKPT", help="add a row that distils from this checkpoint")
    parser.add_argument("--rows", type=int, nargs="+", metavar="N", help="only these rows, counted from 1")
    parser.add_argument("--output-dir", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = [train(args, *row) for row in rows_of(args).items()]
    if args.json:
        print(json.dumps(found, indent=2))
        return
    first = found[0]
    print(f"{args.model}, {args.epochs} epochs, {first['protocol']}\n")
    print("| recipe `edge` | pixel accuracy | mIoU | against the first |", "|---|---|---|---|", sep="\n")
    for row in found:
        change = "" if row is first else f"{100 * (row['miou'] - first['miou']):+.1f} points"
        print(f"| {row['row']} | {100 * row['pixel_accuracy']:.2f} % | {row['miou']:.4f} | {change} |")


if __name__ == "__main__":
    main()
