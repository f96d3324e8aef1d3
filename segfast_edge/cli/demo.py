"""segfast-edge demo: the whole path in one command."""

import argparse
from pathlib import Path

from segfast_edge.cli._packages import ENGINE

HELP = "train on drawn scenes, export to every format, prove parity, profile, and write one page"
EXAMPLE = "segfast-edge demo --out demo"
NEEDS = {"all of it": ("torch", "matplotlib", ENGINE)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("demo"), metavar="DIR", help="output folder (default demo)"
    )
    parser.add_argument("--model", default="segfast", metavar="NAME", help="network to train (default segfast)")
    parser.add_argument("--epochs", type=int, default=8, metavar="N", help="epochs to train (default 8)")
    parser.add_argument("--frames", type=int, default=320, metavar="N", help="scenes to train on (default 320)")
    parser.add_argument("--val-frames", type=int, default=40, metavar="N", help="scenes to evaluate on (default 40)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads to profile with (default: all)")


def run(args: argparse.Namespace) -> int:
    """Run the demo and say where the page is."""
    from rich.console import Console

    from segfast_edge.cli._progress import bar
    from segfast_edge.cli.train import observer
    from segfast_edge.demo import DemoRequest, Screen, run_demo

    console = Console(stderr=True)
    request = DemoRequest(args.out, args.model, args.epochs, args.frames, args.val_frames, args.threads)
    screen = Screen(lambda text: console.print(f"[bold]==[/] {text}", highlight=False), observer(), bar)
    page = run_demo(request, screen)
    print(f"open {page.resolve()} in a browser")
    return 0
