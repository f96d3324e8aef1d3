"""``segfast-edge train``."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segfast_edge.cli._dataset import chosen_options, dataset_name, dataset_options

if TYPE_CHECKING:
    from segfast_edge.training.settings import Hardware, Settings
    from segfast_edge.training.train import Outcome

HELP = "train a network; writes checkpoints, metrics and curves, and continues where it stopped"
EXAMPLE = "segfast-edge train --model segfast --data camvid --data-root CamVid --recipe paper --output-dir runs/paper"


def _bounds(text: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not LOW:HIGH, such as 0.75:1.75") from None


_RECIPE_FLAGS = (
    ("epochs", int, "N", "epochs in all"),
    ("batch-size", int, "N", "frames per step, over all processes"),
    ("lr", float, "RATE", "peak learning rate"),
    ("optimiser", str, "NAME", "adam, adamw or sgd"),
    ("weight-decay", float, "W", "decay of convolution weights"),
    ("schedule", str, "NAME", "constant, cosine or poly"),
    ("warmup-epochs", int, "N", "epochs of linear warm-up"),
    ("loss", str, "NAME", "ce, ohem, ce+lovasz or ce+dice"),
    ("ema", float, "DECAY", "average of the weights, decay per step; 0 for none"),
    ("clip", float, "NORM", "bound of the gradient's norm; 0 for none"),
    ("patience", int, "N", "stop after N epochs without a better mIoU on val; 0 for never"),
    ("distill", float, "W", "weight of the teacher's term"),
    ("crop", float, "SHARE", "side of the training window as a share of the input's; val is always whole"),
    ("scale", _bounds, "LOW:HIGH", "zoom of the augmentation, such as 0.75:1.75"),
    ("colour", float, "SHARE", "bound of the changes in brightness, contrast and saturation, 0 to below 1"),
    ("hue", float, "SHARE", "bound of the change in hue, as a part of the colour circle"),
    ("blur", float, "SHARE", "how often the picture is blurred, 0 to 1"),
    ("encoder-lr", float, "SHARE", "part of the learning rate for a pretrained encoder, over 0 to 1"),
    ("val-every", int, "N", "look at val after every N epochs, and after the last"),
)
_ON_RESUME = ("epochs", "patience", "data_root")  # what may be given anew for a training that continues


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those of the recipe have no default here, so that what was asked for can be told."""
    what = parser.add_argument_group("what to train")
    what.add_argument("--model", metavar="NAME", help="network, or your own package.module:factory (default segfast)")
    what.add_argument("--data", metavar="NAME", help="dataset (default: found from --data-root, else scenes)")
    what.add_argument("--data-root", type=Path, metavar="DIR", help="the dataset's folder")
    what.add_argument("--split", metavar="NAME", help="split to train on, such as trainval, or a list file (train)")
    what.add_argument("--val-split", metavar="NAME", help="split to validate on, or a list file (val)")
    what.add_argument("--protocol", metavar="NAME", help="paper or standard: size, and whether void counts (paper)")
    what.add_argument("--size", metavar="HxW", help="the network's input instead of the protocol's")
    what.add_argument("--start", type=Path, metavar="CKPT", help="checkpoint or shipped weights to begin with")
    what.add_argument("--pretrained", action="store_true", default=None, help="begin with published ImageNet weights")
    what.add_argument("--teacher", type=Path, metavar="CKPT", help="checkpoint or shipped weights to distil from")
    dataset_options(parser)
    how = parser.add_argument_group("how (each recipe has its own defaults)")
    how.add_argument("--recipe", metavar="NAME", help="paper, edge, finetune, or qat for int8 (default paper)")
    for flag, kind, metavar, text in _RECIPE_FLAGS:
        also = ["--optimizer"] if flag == "optimiser" else []
        how.add_argument(f"--{flag}", *also, type=kind, metavar=metavar, help=text)
    how.add_argument(
        "--class-weights",
        nargs="?",
        const="enet",
        metavar="NAME",
        help="weigh rare classes more: none, soft, enet or median",
    )
    how.add_argument(
        "--no-class-weights", dest="class_weights", action="store_const", const="none", help=argparse.SUPPRESS
    )
    how.add_argument("--augment", action=argparse.BooleanOptionalAction, help="random scale, crop, flip, colour")
    how.add_argument("--fake-int8", action=argparse.BooleanOptionalAction, help="round as int8 does; needs --start")
    how.add_argument("--seed", type=int, metavar="N", help="everything random follows from it (default 0)")
    where = parser.add_argument_group("where")
    where.add_argument("--output-dir", type=Path, default=Path("runs/train"), metavar="DIR", help="default runs/train")
    where.add_argument("--resume", action="store_true", help="continue the training in --output-dir")
    where.add_argument("--overwrite", action="store_true", help="replace the training in --output-dir")
    where.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps")
    where.add_argument("--precision", default="auto", metavar="P", help="auto, fp32, bf16 or fp16")
    where.add_argument("--num-workers", type=int, metavar="N", help="loading processes (default: as needed)")
    where.add_argument("--compile", action="store_true", help="compile the network first, which takes a minute")
    where.add_argument("--deterministic", action="store_true", help="same bits each time on CUDA too, slower")
    where.add_argument("--tensorboard", action="store_true", help="also write TensorBoard events")


def run(args: argparse.Namespace) -> int:
    """Train and say how it ended; 130 when interrupted."""
    from segfast_edge.cli import EXIT_INTERRUPTED
    from segfast_edge.training.run_folder import RunFolder
    from segfast_edge.training.train import Start, train

    folder = RunFolder(args.output_dir)
    settings = _continued(args, folder.config()) if args.resume else _fresh(args)
    with observer() as watching:
        outcome = train(settings, folder, watching, start=Start(args.resume, args.overwrite))
    if os.environ.get("RANK", "0") == "0":
        _say(outcome, args.output_dir)
    return EXIT_INTERRUPTED if outcome.ending == "interrupted" else 0


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that were asked for; None for those that were not."""
    from segfast_edge.contract.preprocess import parse_size
    from segfast_edge.weights import find

    given = {name: getattr(args, name) for name in ("model", "data_root", "protocol", "seed", "pretrained")}
    files = {name: None if getattr(args, name) is None else find(getattr(args, name)) for name in ("start", "teacher")}
    return {**given, **files, "size": parse_size(args.size) if args.size else None}


def _dataset_options(args: argparse.Namespace) -> dict[str, str]:
    splits = {"train": args.split, "val": args.val_split}
    given = {split: name for split, name in splits.items() if name is not None}
    files = {split: str(Path(name).resolve()) for split, name in given.items() if Path(name).is_file()}
    return {**chosen_options(args), **given, **files}


def _given_recipe(args: argparse.Namespace) -> dict[str, Any]:
    names = [flag.replace("-", "_") for flag, *_ in _RECIPE_FLAGS]
    return {name: getattr(args, name) for name in (*names, "class_weights", "augment", "fake_int8")}


def _hardware(args: argparse.Namespace) -> "Hardware":
    from segfast_edge.training.settings import Hardware

    return Hardware(args.device, args.precision, args.num_workers, args.compile, args.tensorboard, args.deterministic)


def _fresh(args: argparse.Namespace) -> "Settings":
    from segfast_edge.training.recipe import recipe
    from segfast_edge.training.settings import Settings

    chosen = recipe(args.recipe or "paper").changed(_given_recipe(args))
    asked = {name: value for name, value in _given(args).items() if value is not None}
    asked["data"] = dataset_name(args.data, args.data_root, _dataset_options(args))
    return Settings(**asked, recipe=chosen, hardware=_hardware(args))


def _continued(args: argparse.Namespace, config: dict[str, Any]) -> "Settings":
    """Return the settings the training was started with, changed where that may be."""
    from dataclasses import replace

    from segfast_edge.data import with_options
    from segfast_edge.errors import SegfastError
    from segfast_edge.training.settings import Settings

    settings = Settings.from_json(config, _hardware(args))
    asked = {name: value for name, value in _given(args).items() if value is not None}
    if args.data is not None or _dataset_options(args):
        asked["data"] = with_options(args.data or settings.data.partition(":")[0], _dataset_options(args))
    asked_recipe = {"name": args.recipe, **_given_recipe(args)}
    for source, values in ((settings, asked), (settings.recipe, asked_recipe)):
        for name, value in values.items():
            before = getattr(source, name)
            if value is not None and value != before and name not in _ON_RESUME:
                flag = "recipe" if name == "name" else name.replace("_", "-")
                raise SegfastError(
                    f"this training was started with --{flag} {before}, not {value}; leave --{flag} out to continue it,"
                    " or choose another --output-dir"
                )
    kept = {"epochs": args.epochs, "patience": args.patience}
    return replace(settings, data_root=args.data_root or settings.data_root, recipe=settings.recipe.changed(kept))


def observer() -> Any:
    """Return bars for a terminal, plain lines otherwise; silent in all processes but the first."""
    from segfast_edge.cli import _training_view

    if os.environ.get("RANK", "0") != "0":
        return _training_view.Silent()
    return _training_view.Bars() if sys.stderr.isatty() else _training_view.Lines()


def _say(outcome: "Outcome", folder: Path) -> None:
    if outcome.best_epoch:
        print(f"best mIoU {outcome.best_miou:.4f} in epoch {outcome.best_epoch} on val ({outcome.protocol})")
        print(f"checkpoint: {folder / 'best.pt'}")
    if outcome.ending == "interrupted":
        print(
            f"interrupted after {outcome.epochs} complete epochs and saved."
            f" Continue with: segfast-edge train --output-dir {folder} --resume",
            file=sys.stderr,
        )
    else:
        print(f"{outcome.ending} after {outcome.epochs} epochs")
