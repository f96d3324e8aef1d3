"""Put a training's best checkpoint into the package, with a model card and the log that shows how it came about.

    python tools/ship_weights.py runs/paper camvid-paper-segfast --data-root ../shared/camvid

Evaluates the checkpoint on `val`, on which its epoch was chosen, and on `test` if the dataset has it, so the card's
figures are measured, not quoted.

    python tools/ship_weights.py runs/final camvid-standard-segfast_lite --data-root ../shared/camvid \
        --folds runs/without-0001TP runs/without-0006R0

Weights that were trained on everything have no split left to be judged on. Their card has the figures of trainings by
the same command, each with another drive as `val`, in its last epoch.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.contract.shared.files import replacing_file, sha256
from segfast_edge.data import open_source
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.prediction.evaluate import Evaluation, GroundTruth, evaluate
from segfast_edge.prediction.predictor import open_predictor
from segfast_edge.training.recipe import recipe
from segfast_edge.training.run_folder import RunFolder
from segfast_edge.weights import shipped

WEIGHTS = Path(__file__).resolve().parent.parent / "segfast_edge" / "weights"
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch normalisation; not learned
_FOLDERS = re.compile(r" --(start|output-dir) \S+")
CHOSEN_ON = "val"
CAUTIONS = {
    "camvid": "The figures on `val` flatter: the epoch was chosen on it, and it is cut out of a single drive whose"
    " frames before and after it\nare in `train`. Nothing was chosen on `test`.",
    "scenes": "The figures on `val` flatter a little: the epoch was chosen on it. Nothing was chosen on `test`.",
}
LICENCES = {
    "camvid": "CamVid is under CC BY-NC; weights trained on it are for research use only.",
    "scenes": "Drawn by this project's own generator; under the project's licence.",
}


@dataclass(frozen=True, slots=True)
class Lineage:
    """Trainings that led to weights, in order: the command of each, and the records of its epochs."""

    commands: tuple[str, ...] = ()
    histories: tuple[list[dict[str, Any]], ...] = ()

    def then(self, run: RunFolder) -> "Lineage":
        """Return this lineage with one more training, which began with the best weights of the last."""
        return Lineage((*self.commands, command_of(run.config())), (*self.histories, run.history()))

    def numbered(self, name: str) -> list[str]:
        """Return the commands with their folders: each starts from the one before, the last writes ``runs/NAME``."""
        commands, before = [], ""
        for number, command in enumerate(self.commands, 1):
            folder = f"runs/{name}" if number == len(self.commands) else f"runs/{name}-{number}"
            start = f" --start {before}/best.pt" if before else ""
            commands.append(f"{command}{start} --output-dir {folder}")
            before = folder
        return commands


def lineage_of(run: RunFolder) -> Lineage:
    """Return the trainings whose last is ``run``, those of shipped weights that the first began with included."""
    start = run.config()["start"]
    if not start:
        return Lineage().then(run)
    if (Path(start).parent / "config.json").is_file():
        return lineage_of(RunFolder(Path(start).parent)).then(run)
    if Path(start).stem not in shipped():
        raise SystemExit(
            f"{run.path} began with {start}, which is neither a training's nor shipped: its log is not known"
        )
    before = shipped_lineage(Path(start).stem)
    if command_of(run.config()) in before.commands:
        raise SystemExit(f"{Path(start).stem} tells of the training in {run.path} already; ship from a clean checkout")
    return before.then(run)


def shipped_lineage(name: str) -> Lineage:
    """Return the trainings of weights that ship already, as their card and log have them."""
    lines = (WEIGHTS / f"{name}.md").read_text(encoding="utf-8").splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ segfast-edge train")]
    histories: list[list[dict[str, Any]]] = [[] for _ in commands]
    for line in (WEIGHTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        histories[record.pop("training") - 1].append(record)
    return Lineage(tuple(_FOLDERS.sub("", command) for command in commands), tuple(histories))


def command_of(config: dict[str, Any]) -> str:
    """Return the command that repeats a training, without options that are the recipe's own and without folders."""
    chosen = config["recipe"]
    usual = recipe(chosen["name"]).to_json()
    words = [f"segfast-edge train --model {config['model']} --data {config['data']} --data-root CAMVID"]
    words += [f"--protocol {config['protocol']}", f"--recipe {chosen['name']}", f"--seed {config['seed']}"]
    words += [_option(key, value) for key, value in chosen.items() if value != usual[key]]
    if config.get("pretrained"):
        words.append("--pretrained")
    if config["teacher"]:
        teacher = Path(config["teacher"])
        words.append(f"--teacher {teacher.stem if teacher.stem in shipped() else teacher}")
    return " ".join(words)


def _option(key: str, value: object) -> str:
    flag = key.replace("_", "-")
    if isinstance(value, list | tuple):
        return f"--{flag} {':'.join(f'{each:g}' for each in value)}"
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {value:g}" if isinstance(value, float) else f"--{flag} {value}"


@dataclass(frozen=True, slots=True)
class Fold:
    """A training that differs from the shipped one in its data only: figures of its last epoch on what it left out."""

    left_out: str
    figures: dict[str, Any]

    @classmethod
    def of(cls, run: RunFolder, shipped_from: RunFolder) -> "Fold":
        """Read a training's log; ends with one line if it differs from ``shipped_from`` in more than its data."""
        mine, theirs = run.config(), shipped_from.config()
        same = ("model", "protocol", "size", "seed", "teacher", "pretrained")
        different = [key for key in same if mine.get(key) != theirs.get(key)]
        recipes = [
            {key: value for key, value in each["recipe"].items() if key != "val_every"} for each in (mine, theirs)
        ]
        if different or recipes[0] != recipes[1]:
            raise SystemExit(
                f"{run.path} is not a fold of {shipped_from.path}: {', '.join(different) or 'recipe'} differs"
            )
        last = run.history()[-1]
        if last["epoch"] != mine["recipe"]["epochs"] or last["val"] is None:
            raise SystemExit(f"{run.path} has not come to its end")
        return cls(run.path.name.rpartition("-")[2], last["val"])


def folds_text(folds: Sequence[Fold]) -> str:
    """Return the part of a card about drives left out."""
    rows = "\n".join(
        f"| {each.left_out} | {100 * each.figures['pixel_accuracy']:.2f} % | {each.figures['miou']:.4f} |"
        for each in folds
    )
    mean = f"| **mean** | | **{_mean(folds):.4f}** |\n" if len(folds) > 1 else ""
    return f"""## On drives left out

The same training with one drive left out as `val`, in its last epoch. These weights were trained on every
drive, so there is no split left to measure them on.

| drive left out | pixel accuracy | mIoU |
|---|---|---|
{rows}
{mean}"""


def on_everything(name: str, lineage: Lineage, checkpoint: Checkpoint, folds: Sequence[Fold]) -> str:
    """Return the model card in Markdown of weights that were trained on every labelled frame at hand."""
    names, provenance = ", ".join(each.left_out for each in folds), checkpoint.provenance
    rows = [
        f"| data | {provenance['data']}, trained on all frames of train and val, settings fixed before |",
        f"| protocol | {checkpoint.protocol} |",
        f"| on {'drives' if len(folds) > 1 else 'a drive'} left out ({names}) | mIoU {_mean(folds):.4f} |",
    ]
    classes = checkpoint.classes.names
    per_class = [
        (label, *(f"{iou:.4f}" if (iou := each.figures["iou"][label]) is not None else "absent" for each in folds))
        for label in classes
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in per_class)
    heading = f"| class | {' | '.join(f'IoU on {each.left_out}' for each in folds)} |\n|{'---|' * (len(folds) + 1)}"
    return _card(name, lineage, checkpoint, rows, [folds_text(folds), f"## Per class\n\n{heading}\n{table}\n"])


def by_settings_of(name: str, lineage: Lineage, checkpoint: Checkpoint, chosen_for: str) -> str:
    """Return the card of weights trained on everything, whose settings were chosen on drives left out for others."""
    rows = [
        f"| data | {checkpoint.provenance['data']}, trained on all frames of train and val, settings fixed before |",
        f"| protocol | {checkpoint.protocol} |",
        "| on drives left out | not measured |",
    ]
    text = f"""## On drives left out

Not measured for this network: the settings of its last training are those that were chosen on drives left out for
[{chosen_for}]({chosen_for}.md), and the weights it started from had seen every drive.
"""
    return _card(name, lineage, checkpoint, rows, [text])


def card(name: str, lineage: Lineage, checkpoint: Checkpoint, measured: Sequence[Evaluation]) -> str:
    """Return the model card in Markdown; the last of ``measured`` is of the split on which the epoch was chosen."""
    found, data = measured[-1], checkpoint.provenance["data"].partition(":")[0]
    rows = [
        f"| data | {checkpoint.provenance['data']}, trained on `train`, epoch chosen on `{found.split}` |",
        f"| protocol | {checkpoint.protocol} |",
        *(
            f"| on `{each.split}`, {each.frames} frames | pixel accuracy {100 * each.matrix.pixel_accuracy:.2f} %,"
            f" mIoU {each.matrix.miou:.4f} |"
            for each in measured
        ),
        f"| epoch | {checkpoint.provenance['epoch']} of the last training |",
    ]
    per_class = "\n".join(
        f"| {label} | {'absent' if iou is None else f'{iou:.4f}'} |" for label, iou in found.to_json()["iou"].items()
    )
    splits = " and ".join(f"`--split {each.split}`" for each in reversed(measured))
    figures = f"""## Per class

| class | IoU on `{found.split}` |
|---|---|
{per_class}

Measured in torch at float32, with {splits}:
`segfast-edge evaluate {name} --data {found.data} --data-root CAMVID`
"""
    return _card(name, lineage, checkpoint, [*rows, "", CAUTIONS[data]], [figures])


def _card(name: str, lineage: Lineage, checkpoint: Checkpoint, rows: list[str], figures: list[str]) -> str:
    provenance, chosen = checkpoint.provenance, checkpoint.provenance["recipe"]
    versions, start = provenance["versions"], provenance.get("pretrained")
    seconds = sum(history[-1]["elapsed_s"] for history in lineage.histories)
    epochs = " + ".join(str(len(history)) for history in lineage.histories)
    learned = [t.numel() for key, t in checkpoint.weights.items() if not key.endswith(STATISTICS)]
    threads = "1 thread" if versions["threads"] == 1 else f"{versions['threads']} threads"
    changed = {key: value for key, value in chosen.items() if key != "name" and value not in (False, 0, 0.0, "none")}
    about = [
        f"| network | `{checkpoint.network}`, {sum(learned):,} parameters |",
        f"| epochs run | {epochs} |",
        f"| training | {versions['device']} ({threads} in the last, {versions['precision']}),"
        f" {seconds / 3600:.1f} h in all, beside other work |",
        f"| torch | {versions['torch']} |",
    ]
    licence = LICENCES[provenance["data"].partition(":")[0]]
    if start:
        about.append(f"| started from | {start['data']} weights of {start['distribution']}, {start['licence']} |")
        licence += f" The {start['data']} weights that the training started from are under {start['licence']}."
    commands = "\n".join(f"$ {command}" for command in lineage.numbered(name))
    settings = ", ".join(f"{key} {value}" for key, value in changed.items())
    return "\n".join(
        [
            f"# {name}\n\n| | |\n|---|---|",
            *about,
            *rows,
            f"\n## Intended use\n\n{licence}",
            "A small dataset of one city in daylight and dusk: a starting point and a demonstration, nothing to steer"
            " a car by.",
            f"\n## How it was made\n\n```console\n{commands}\n```\n",
            f"Recipe of the last training, `{chosen['name']}`: {settings}.",
            f"Every epoch's figures are in `{name}.jsonl` beside this card.\n",
            "\n".join(figures),
        ]
    )


def _mean(folds: Sequence[Fold]) -> float:
    return float(sum(each.figures["miou"] for each in folds) / len(folds))


def main() -> None:
    """Write NAME.pt, NAME.md and NAME.jsonl."""
    parser = ExactParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="a training's output folder")
    parser.add_argument("name", metavar="NAME", help="DATA-PROTOCOL-NETWORK")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--settings-of", metavar="NAME", help="shipped weights whose settings were fixed on folds")
    parser.add_argument("--folds", type=Path, nargs="+", metavar="RUN", help="trainings that left out a drive each")
    args = parser.parse_args()
    run = RunFolder(args.run)
    lineage = lineage_of(run)
    checkpoint = Checkpoint.load(run.best)
    figures: dict[str, float]
    if args.folds:
        folds = [Fold.of(RunFolder(path), run) for path in args.folds]
        about, figures = on_everything(args.name, lineage, checkpoint, folds), {"folds": _mean(folds)}
    elif args.settings_of:
        about, figures = by_settings_of(args.name, lineage, checkpoint, args.settings_of), {}
    else:
        measured = measure(run.best, checkpoint.provenance["data"], args.data_root)
        about, figures = card(args.name, lineage, checkpoint, measured), {e.split: e.matrix.miou for e in measured}
    records = ({"training": n, **record} for n, history in enumerate(lineage.histories, 1) for record in history)
    log = "".join(json.dumps(record) + "\n" for record in records)
    checkpoint.save(WEIGHTS / f"{args.name}.pt")
    for suffix, text in (("md", about), ("jsonl", log)):
        with replacing_file(WEIGHTS / f"{args.name}.{suffix}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(json.dumps({"sha256": sha256(WEIGHTS / f"{args.name}.pt"), "miou": figures}))


def measure(path: Path, data: str, root: Path | None) -> list[Evaluation]:
    """Evaluate a checkpoint on `test` if the dataset has it, and on the split on which its epoch was chosen."""
    splits = [split for split in ("test", CHOSEN_ON) if split in open_source(data, root).splits]
    if "test" not in splits:
        print(f"{data} in {root} has no split 'test'; the card has figures on {CHOSEN_ON} only", file=sys.stderr)
    predictor = open_predictor(path)
    return [evaluate(predictor, GroundTruth(data, root, split), lambda *_: None) for split in splits]


if __name__ == "__main__":
    main()
