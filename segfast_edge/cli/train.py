"""``segfast-edge train``."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segfast_edge.cli._dataset import chosen_options, dataset_name, dataset_options
from segfast_edge.cli._volume import volume

if TYPE_CHECKING:
    from segfast_edge.training.settings import Hardware, TrainingSettings
    from segfast_edge.training.train import Outcome

HELP = "train a network; writes checkpoints, metrics and curves, and continues where it stopped"
EXAMPLE = "segfast-edge train --model segfast --data camvid --data-root CamVid --recipe paper --output-dir runs/paper"
NEEDS = {"training": ("torch", "matplotlib")}
FIRST = ("model", "data", "data_root", "recipe", "epochs", "output_dir")


def _bounds(text: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not LOW:HIGH, such as 0.75:1.75") from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def _shares(text: str) -> tuple[tuple[str, float], ...]:
    try:
        return tuple((name, float(share)) for name, share in (part.split("=") for part in _names(text)))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=SHARE,..., such as encoder=0.1") from None


_RECIPE_FLAGS = (
    ("epochs", int, "N", "number of epochs"),
    ("batch-size", int, "N", "frames per step, over all processes"),
    ("lr", float, "RATE", "peak learning rate"),
    ("optimiser", str, "NAME", "adam, adamw or sgd"),
    ("weight-decay", float, "W", "decay of convolution weights"),
    ("schedule", str, "NAME", "constant, cosine, poly or your own package.module:function"),
    ("warmup-epochs", int, "N", "epochs of linear warm-up"),
    ("loss", str, "NAME", "ce, ohem, focal, ce+lovasz, ce+dice, ce+tversky or package.module:function"),
    ("ema", float, "DECAY", "average the weights with this decay per step; 0 turns it off"),
    ("clip", float, "NORM", "limit the gradient's L2 norm; 0 turns it off"),
    ("patience", int, "N", "stop after N epochs without a better mIoU on val; 0 never stops early"),
    ("distill", float, "W", "weight of the teacher's term"),
    ("crop", float, "SHARE", "side of the training window as a share of the input's side, 0.25 to 1"),
    ("scale", _bounds, "LOW:HIGH", "range of the random zoom, such as 0.75:1.75"),
    ("colour", float, "SHARE", "largest random change of brightness, contrast and saturation, 0 to 1"),
    ("hue", float, "SHARE", "largest random change of hue, as a share of the colour circle"),
    ("blur", float, "SHARE", "probability that a frame is blurred, 0 to 1"),
    ("effects", _names, "NAME=STRENGTH,...", "more augmentation, such as rotate=10,rain=0.5@0.3; see docs/training.md"),
    ("encoder-lr", float, "SHARE", "learning rate of the pretrained encoder as a share of --lr"),
    ("lr-groups", _shares, "NAME=SHARE,...", "learning rate of the modules whose names start so, as a share of --lr"),
    ("layer-decay", float, "SHARE", "multiply the learning rate by SHARE once more for each layer before the last"),
    ("freeze", _names, "NAME,...", "do not train the modules whose names start so, such as encoder"),
    ("accumulate", int, "N", "compute each step in N parts: the same result with less memory"),
    ("fraction", float, "SHARE", "use this share of the training pictures, drawn by --seed"),
    ("val-every", int, "N", "evaluate val after every N epochs and after the last"),
)
_ON_RESUME = ("epochs", "patience", "accumulate", "data_root")  # what may be given anew for a training that continues


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those of the recipe have no default here, so that what was asked for can be told."""
    what = parser.add_argument_group("what to train")
    what.add_argument(
        "--model", metavar="NAME", help="network to train, or your own package.module:factory (default segfast)"
    )
    what.add_argument(
        "--data", metavar="NAME", help="dataset to train on (default: recognised from --data-root, else drawn scenes)"
    )
    what.add_argument("--data-root", type=Path, metavar="DIR", help="root folder of the dataset")
    what.add_argument(
        "--split", metavar="NAME", help="split to train on, such as trainval, or a list file (default train)"
    )
    what.add_argument("--val-split", metavar="NAME", help="split to validate on, or a list file (default val)")
    what.add_argument(
        "--protocol",
        metavar="NAME",
        help="paper (224x224, void is a class) or standard (the dataset's size, void ignored); default paper",
    )
    what.add_argument(
        "--size", metavar="HxW", help="input size of the network, height x width (default: the protocol's)"
    )
    what.add_argument("--start", type=Path, metavar="CKPT", help="checkpoint or name of shipped weights to start from")
    what.add_argument(
        "--strict", choices=("yes", "no"), help="no: take from --start only the weights that match (default yes)"
    )
    what.add_argument(
        "--pretrained",
        action="store_true",
        default=None,
        help="start from published ImageNet weights, if the network has any",
    )
    what.add_argument(
        "--teacher", type=Path, metavar="CKPT", help="checkpoint or name of shipped weights to distil from"
    )
    dataset_options(parser)
    how = parser.add_argument_group("how (each recipe has its own defaults)")
    how.add_argument(
        "--recipe", metavar="NAME", help="paper, edge, finetune or qat; see docs/training.md (default paper)"
    )
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
    how.add_argument(
        "--augment", action=argparse.BooleanOptionalAction, help="change frames at random: zoom, crop, flip, colour"
    )
    how.add_argument(
        "--fake-int8",
        action=argparse.BooleanOptionalAction,
        help="round weights and activations as int8 does; needs --start",
    )
    how.add_argument("--seed", type=int, metavar="N", help="seed of everything random (default 0)")
    where = parser.add_argument_group("where")
    where.add_argument(
        "-o",
        "--out",
        "--output-dir",
        dest="output_dir",
        type=Path,
        default=Path("runs/train"),
        metavar="DIR",
        help="folder for checkpoints, metrics and curves (default runs/train)",
    )
    where.add_argument("--resume", action="store_true", help="continue the training in --output-dir")
    where.add_argument("--overwrite", action="store_true", help="replace an existing training in --output-dir")
    where.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="device to train on: auto, cpu, cuda, cuda:N or mps (default auto)",
    )
    where.add_argument(
        "--precision", default="auto", metavar="P", help="number format: auto, fp32, bf16 or fp16 (default auto)"
    )
    where.add_argument(
        "--num-workers",
        type=int,
        metavar="N",
        help="number of processes that load data (default: chosen by the data and the cores)",
    )
    where.add_argument(
        "--max-hours", type=float, metavar="H", help="save and end after H hours; continue with --resume"
    )
    where.add_argument("--compile", action="store_true", help="compile the network first, which takes a minute")
    where.add_argument("--deterministic", action="store_true", help="give the same bits each time on CUDA too; slower")
    where.add_argument("--tensorboard", action="store_true", help="also write TensorBoard events")
    where.add_argument(
        "--logger", dest="loggers", type=_names, default=(), metavar="NAME", help="your own package.module:factory"
    )


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
        args.options_paths = [] if args.resume else [args.output_dir / "train.toml"]
    return EXIT_INTERRUPTED if outcome.ending == "interrupted" else 0


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that were asked for; None for those that were not."""
    from segfast_edge.contract.preprocess import parse_size
    from segfast_edge.weights import find

    given = {name: getattr(args, name) for name in ("model", "data_root", "protocol", "seed", "pretrained")}
    files = {name: None if getattr(args, name) is None else find(getattr(args, name)) for name in ("start", "teacher")}
    given["strict"] = None if args.strict is None else args.strict == "yes"
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

    names = ("device", "precision", "compile", "tensorboard", "deterministic", "max_hours", "loggers")
    return Hardware(workers=args.num_workers, **{name: getattr(args, name) for name in names})


def _fresh(args: argparse.Namespace) -> "TrainingSettings":
    from segfast_edge.training.recipe import recipe
    from segfast_edge.training.settings import TrainingSettings

    chosen = recipe(args.recipe or "paper").changed(_given_recipe(args))
    asked = {name: value for name, value in _given(args).items() if value is not None}
    asked["data"] = dataset_name(args.data, args.data_root, _dataset_options(args))
    return TrainingSettings(**asked, recipe=chosen, hardware=_hardware(args))


def _continued(args: argparse.Namespace, config: dict[str, Any]) -> "TrainingSettings":
    """Return the settings the training was started with, changed where that may be."""
    from dataclasses import replace

    from segfast_edge.data import parse_name, with_options
    from segfast_edge.errors import SegfastError
    from segfast_edge.training.settings import TrainingSettings

    settings = TrainingSettings.from_json(config, _hardware(args))
    asked = {name: value for name, value in _given(args).items() if value is not None}
    if args.data is not None or _dataset_options(args):
        asked["data"] = with_options(args.data or parse_name(settings.data)[0], _dataset_options(args))
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
    kept = {name: getattr(args, name) for name in _ON_RESUME[:-1]}
    return replace(settings, data_root=args.data_root or settings.data_root, recipe=settings.recipe.changed(kept))


def observer() -> Any:
    """Return bars for a terminal, plain lines otherwise; silent in all processes but the first."""
    from segfast_edge.cli import _training_view

    if volume.quiet or os.environ.get("RANK", "0") != "0":
        return _training_view.Silent()
    return _training_view.Bars() if sys.stderr.isatty() else _training_view.Lines()


def _say(outcome: "Outcome", folder: Path) -> None:
    if outcome.best_epoch:
        print(f"best mIoU {outcome.best_miou:.4f} in epoch {outcome.best_epoch} on val ({outcome.protocol})")
        print(f"checkpoint: {folder / 'best.pt'}")
    if outcome.ending in ("interrupted", "out of time"):
        print(
            f"{outcome.ending} after {outcome.epochs} complete epochs and saved."
            f" Continue with: segfast-edge train --output-dir {folder} --resume",
            file=sys.stderr,
        )
    else:
        print(f"{outcome.ending} after {outcome.epochs} epochs")
