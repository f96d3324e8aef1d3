"""Images per second of our training loop against a plain one, on the same network and data, in one run.

The plain loop is what torchvision's segmentation reference does at its defaults: a dataset that decodes, resizes and
converts every sample each time it is asked, float32, contiguous tensors, the same cross-entropy and Adam. Epochs of
both alternate in random order, so that whatever else the machine does hits both alike.

    python benchmarks/training.py [--model segfast] [--size 224x224] [--batch-size 8] [--rounds 5] [--json]
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from segfast_edge.contract.preprocess import Preprocess, parse_size
from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.contract.shared.images import write_picture
from segfast_edge.data import Protocol, open_dataset
from segfast_edge.model import build
from segfast_edge.training.distributed import World
from segfast_edge.training.execution import execution
from segfast_edge.training.loop import train_epoch
from segfast_edge.training.prepare import make_setup, make_state, read_data
from segfast_edge.training.recipe import recipe
from segfast_edge.training.settings import Hardware, TrainingSettings
from segfast_edge.training.state import Sums

CLASSES = 12


class Plain(Dataset[tuple[Tensor, Tensor]]):
    """Pictures from files, decoded each time."""

    def __init__(self, root: Path, preprocess: Preprocess) -> None:
        self._pairs = sorted(zip((root / "images/train").iterdir(), (root / "labels/train").iterdir(), strict=True))
        self._preprocess = preprocess

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, label = self._pairs[index]
        width, height = self._preprocess.width, self._preprocess.height
        with Image.open(image) as picture:
            frame = np.array(picture.resize((width, height), Image.Resampling.BILINEAR))
        with Image.open(label) as picture:
            target = np.array(picture.resize((width, height), Image.Resampling.NEAREST))
        pixels = torch.from_numpy(frame).permute(2, 0, 1).contiguous().float() / 255
        mean, std = (torch.tensor(v)[:, None, None] for v in (self._preprocess.mean, self._preprocess.std))
        return (pixels - mean) / std, torch.from_numpy(target).long()


def plain_epoch(args: argparse.Namespace, root: Path, device: torch.device) -> Callable[[], None]:
    """Return a function that trains one epoch the plain way."""
    data = Plain(root, Preprocess(*parse_size(args.size)))
    batches = DataLoader(data, args.batch_size, shuffle=True, drop_last=True, num_workers=args.workers)
    module = build(args.model, CLASSES).to(device).train()
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()

    def epoch() -> None:
        for pixels, target in batches:
            loss = criterion(module(pixels.to(device)), target.to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()

    return epoch


def our_epoch(args: argparse.Namespace, root: Path) -> Callable[[], None]:
    """Return a function that trains one epoch with ``train_epoch``, as ``segfast-edge train --recipe paper`` does."""
    settings = TrainingSettings(
        model=args.model,
        data="folder",
        data_root=root,
        size=parse_size(args.size),
        recipe=recipe("paper").changed({"batch_size": args.batch_size}),
        hardware=Hardware(device=args.device, precision=args.precision),
    )
    run_on, world = execution(settings.hardware), World()
    material = read_data(settings, world, lambda _, __: None)
    state = make_state(settings, material.classes, run_on)
    setup = make_setup(settings, material, state, execution=run_on, world=world)

    def epoch() -> None:
        train_epoch(setup, state, Sums(), stop=lambda: False, report=lambda _: None)
        state.epoch, state.step = state.epoch + 1, 0

    return epoch


def write_pictures(root: Path, frames: int) -> None:
    """Draw scenes at CamVid's size and write them as files, which both loops read."""
    for split, count in (("train", frames), ("val", 1)):
        name = f"scenes:size=360x480,{split}={count}"
        dataset = open_dataset(name, None, split, Protocol.named("paper", (360, 480)))
        for part in ("images", "labels"):
            (root / part / split).mkdir(parents=True)
        for index in range(count):
            sample = dataset[index]
            write_picture(root / f"images/{split}/{sample.name}.png", sample.frame)
            write_picture(root / f"labels/{split}/{sample.name}.png", sample.labels)
    names = [f"class {label}" for label in range(CLASSES)]
    (root / "classes.json").write_text(json.dumps({"names": names, "ignored": None}))


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return images per second of every epoch of both loops; the first of each warms up and is not kept."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_pictures(root, args.frames)
        run_on = execution(Hardware(device=args.device, precision=args.precision))
        loops = {"plain": plain_epoch(args, root, run_on.device), "ours": our_epoch(args, root)}
        rates: dict[str, list[float]] = {name: [] for name in loops}
        for number in range(args.rounds + 1):
            for loop in random.sample(sorted(loops), 2):
                began = time.perf_counter()
                loops[loop]()
                if run_on.cuda:
                    torch.cuda.synchronize()
                if number:
                    rates[loop].append(args.frames / (time.perf_counter() - began))
    return {
        "model": args.model,
        "size": args.size,
        "batch_size": args.batch_size,
        "device": str(run_on.device),
        "threads": torch.get_num_threads(),
        "precision": {"plain": "fp32", "ours": run_on.precision},
        "images_per_s": rates,
        "ratio_of_medians": median(rates["ours"]) / median(rates["plain"]),
    }


def main() -> None:
    """Measure and print."""
    parser = ExactParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="segfast")
    parser.add_argument("--size", default="224x224")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--frames", type=int, default=48, help="per epoch; a multiple of the batch size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="of the plain loop")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", help="of our loop")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = measure(args)
    if args.json:
        print(json.dumps(found, indent=2))
        return
    for name, rates in found["images_per_s"].items():
        low, high = min(rates), max(rates)
        print(f"{name:6} {found['precision'][name]}: {median(rates):7.1f} images/s (median; {low:.1f} to {high:.1f})")
    print(f"ours / plain: {found['ratio_of_medians']:.2f} ({found['model']}, {found['size']}, {found['device']})")


if __name__ == "__main__":
    main()
