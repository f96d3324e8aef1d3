"""Put a training's best checkpoint into the package, with a model card and the log that shows how it came about.

    python tools/ship_weights.py runs/paper camvid-paper-segfast --data-root ../shared/camvid

Evaluates the checkpoint anew on the split it was chosen on, so the card's figures are measured, not quoted.
"""

import argparse
import json
from pathlib import Path

from segfast_edge.contract.files import replacing_file, sha256
from segfast_edge.evaluate import Evaluation, Truth, evaluate
from segfast_edge.labeller import open_labeller
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.training.recipe import recipe
from segfast_edge.training.run_folder import RunFolder

WEIGHTS = Path(__file__).resolve().parent.parent / "segfast_edge" / "weights"
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch normalisation; not learned
LICENCES = {
    "camvid": "CamVid is under CC BY-NC; weights trained on it are for research use only.",
    "scenes": "Drawn by this project's own generator; under the project's licence.",
}


def stages_of(run: RunFolder) -> list[RunFolder]:
    """Return the trainings whose last is ``run``, each started from the best weights of the one before."""
    start = run.config()["start"]
    return [*(stages_of(RunFolder(Path(start).parent)) if start else ()), run]


def commands_of(stages: list[RunFolder], name: str) -> list[str]:
    """Return the commands that repeat the trainings, without options that are the recipe's own."""
    commands, last = [], ""
    for number, stage in enumerate(stages, 1):
        config = stage.config()
        chosen = config["recipe"]
        usual = recipe(chosen["name"]).to_json()
        words = [f"segfast-edge train --model {config['model']} --data {config['data']} --data-root CAMVID"]
        words += [f"--protocol {config['protocol']}", f"--recipe {chosen['name']}", f"--seed {config['seed']}"]
        words += [_option(key, value) for key, value in chosen.items() if value != usual[key]]
        words += [f"--start {last}/best.pt"] if last else []
        last = f"runs/{name}" if stage is stages[-1] else f"runs/{name}-{number}"
        commands.append(" ".join([*words, f"--output-dir {last}"]))
    return commands


def _option(key: str, value: object) -> str:
    flag = key.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {value:g}" if isinstance(value, float) else f"--{flag} {value}"


def card(name: str, stages: list[RunFolder], checkpoint: Checkpoint, found: Evaluation) -> str:
    """Return the model card in Markdown."""
    provenance, chosen = checkpoint.provenance, checkpoint.provenance["recipe"]
    histories = [stage.history() for stage in stages]
    rows = "\n".join(
        f"| {label} | {'absent' if iou is None else f'{iou:.4f}'} |" for label, iou in found.to_json()["iou"].items()
    )
    seconds = sum(history[-1]["elapsed_s"] for history in histories)
    epochs = " + ".join(str(len(history)) for history in histories)
    commands = "\n".join(f"$ {command}" for command in commands_of(stages, name))
    versions = provenance["versions"]
    learned = [t.numel() for key, t in checkpoint.weights.items() if not key.endswith(STATISTICS)]
    how = f"{versions['device']} ({versions['threads']} threads, {versions['precision']})"
    changed = {key: value for key, value in chosen.items() if key != "name" and value not in (False, 0, 0.0)}
    return f"""# {name}

| | |
|---|---|
| network | `{checkpoint.network}`, {sum(learned):,} parameters |
| data | {provenance["data"]}, trained on `train`, epoch chosen on `{found.split}` |
| protocol | {found.protocol} |
| pixel accuracy | {100 * found.matrix.pixel_accuracy:.2f} % |
| mIoU | {found.matrix.miou:.4f} |
| epoch | {provenance["epoch"]} of the last training; {epochs} were run |
| training | {how}, {seconds / 3600:.1f} h beside other work |
| torch | {versions["torch"]} |

The figures are of the split on which the epoch was chosen, so they flatter a little; no test split was used.

## Intended use

{LICENCES[provenance["data"].partition(":")[0]]}
A small dataset of one city in daylight and dusk: a starting point and a demonstration, nothing to steer a car by.

## How it was made

```console
{commands}
```

Recipe of the last training, `{chosen["name"]}`: {", ".join(f"{key} {value}" for key, value in changed.items())}.
Every epoch's figures are in `{name}.jsonl` beside this card.

## Per class

| class | IoU |
|---|---|
{rows}

Measured in torch at float32 on {found.frames} frames:
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
    stages = stages_of(run)
    checkpoint = Checkpoint.load(run.best)
    truth = Truth(checkpoint.provenance["data"], args.data_root)
    found = evaluate(open_labeller(run.best), truth, lambda *_: None)
    checkpoint.save(WEIGHTS / f"{args.name}.pt")
    with replacing_file(WEIGHTS / f"{args.name}.md") as temporary:
        temporary.write_text(card(args.name, stages, checkpoint, found), encoding="utf-8")
    with replacing_file(WEIGHTS / f"{args.name}.jsonl") as temporary:
        records = ({"training": n, **record} for n, stage in enumerate(stages, 1) for record in stage.history())
        temporary.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    print(json.dumps({"sha256": sha256(WEIGHTS / f"{args.name}.pt"), "miou": found.matrix.miou}))


if __name__ == "__main__":
    main()
