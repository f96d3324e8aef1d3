"""Put a training's best checkpoint into the package, with a model card and the log that shows how it came about.

    python tools/ship_weights.py runs/paper camvid-paper-segfast --data-root ../shared/camvid

Evaluates the checkpoint on `val`, on which its epoch was chosen, and on `test` if the dataset has it, so the card's
figures are measured, not quoted.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.contract.files import replacing_file, sha256
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
    if config["teacher"]:
        teacher = Path(config["teacher"])
        words.append(f"--teacher {teacher.stem if teacher.stem in shipped() else teacher}")
    return " ".join(words)


def _option(key: str, value: object) -> str:
    flag = key.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {value:g}" if isinstance(value, float) else f"--{flag} {value}"


def card(name: str, lineage: Lineage, checkpoint: Checkpoint, measured: Sequence[Evaluation]) -> str:
    """Return the model card in Markdown; the last of ``measured`` is of the split on which the epoch was chosen."""
    provenance, chosen = checkpoint.provenance, checkpoint.provenance["recipe"]
    found, data = measured[-1], provenance["data"].partition(":")[0]
    scores = "\n".join(
        f"| on `{each.split}`, {each.frames} frames | pixel accuracy {100 * each.matrix.pixel_accuracy:.2f} %,"
        f" mIoU {each.matrix.miou:.4f} |"
        for each in measured
    )
    rows = "\n".join(
        f"| {label} | {'absent' if iou is None else f'{iou:.4f}'} |" for label, iou in found.to_json()["iou"].items()
    )
    seconds = sum(history[-1]["elapsed_s"] for history in lineage.histories)
    epochs = " + ".join(str(len(history)) for history in lineage.histories)
    commands = "\n".join(f"$ {command}" for command in lineage.numbered(name))
    versions = provenance["versions"]
    learned = [t.numel() for key, t in checkpoint.weights.items() if not key.endswith(STATISTICS)]
    threads = "1 thread" if versions["threads"] == 1 else f"{versions['threads']} threads"
    how = f"{versions['device']} ({threads} in the last, {versions['precision']})"
    changed = {key: value for key, value in chosen.items() if key != "name" and value not in (False, 0, 0.0)}
    return f"""# {name}

| | |
|---|---|
| network | `{checkpoint.network}`, {sum(learned):,} parameters |
| data | {provenance["data"]}, trained on `train`, epoch chosen on `{found.split}` |
| protocol | {found.protocol} |
{scores}
| epoch | {provenance["epoch"]} of the last training; {epochs} were run |
| training | {how}, {seconds / 3600:.1f} h in all, beside other work |
| torch | {versions["torch"]} |

{CAUTIONS[data]}

## Intended use

{LICENCES[data]}
A small dataset of one city in daylight and dusk: a starting point and a demonstration, nothing to steer a car by.

## How it was made

```console
{commands}
```

Recipe of the last training, `{chosen["name"]}`: {", ".join(f"{key} {value}" for key, value in changed.items())}.
Every epoch's figures are in `{name}.jsonl` beside this card.

## Per class

| class | IoU on `{found.split}` |
|---|---|
{rows}

Measured in torch at float32, with {" and ".join(f"`--split {each.split}`" for each in reversed(measured))}:
`segfast-edge evaluate {name} --data {found.data} --data-root CAMVID`
"""


def main() -> None:
    """Write NAME.pt, NAME.md and NAME.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="a training's output folder")
    parser.add_argument("name", metavar="NAME", help="DATA-PROTOCOL-NETWORK")
    parser.add_argument("--data-root", type=Path)
    args = parser.parse_args()
    run = RunFolder(args.run)
    lineage = lineage_of(run)
    checkpoint = Checkpoint.load(run.best)
    data = checkpoint.provenance["data"]
    splits = [split for split in ("test", CHOSEN_ON) if split in open_source(data, args.data_root).splits]
    if "test" not in splits:
        print(
            f"{data} in {args.data_root} has no split 'test'; the card has figures on {CHOSEN_ON} only", file=sys.stderr
        )
    predictor = open_predictor(run.best)
    measured = [evaluate(predictor, GroundTruth(data, args.data_root, split), lambda *_: None) for split in splits]
    about = card(args.name, lineage, checkpoint, measured)
    records = ({"training": n, **record} for n, history in enumerate(lineage.histories, 1) for record in history)
    log = "".join(json.dumps(record) + "\n" for record in records)
    checkpoint.save(WEIGHTS / f"{args.name}.pt")
    for suffix, text in (("md", about), ("jsonl", log)):
        with replacing_file(WEIGHTS / f"{args.name}.{suffix}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(
        json.dumps(
            {"sha256": sha256(WEIGHTS / f"{args.name}.pt"), "miou": {each.split: each.matrix.miou for each in measured}}
        )
    )


if __name__ == "__main__":
    main()
