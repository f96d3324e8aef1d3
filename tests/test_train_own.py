"""A user's own dataset, loss, schedule and logger, by ``package.module:function``."""

import json
from dataclasses import replace

import numpy as np
import own_training
import pytest
import torch
from PIL import Image
from tiny_training import CPU, FULL, PAPER, Recorder, run, settings

from segfast_edge.cli import main
from segfast_edge.data import open_source, parse_name, with_options
from segfast_edge.errors import SegfastError
from segfast_edge.training.losses import NOT_COUNTED, terms
from segfast_edge.training.recipe import learning_rate
from segfast_edge.training.run_folder import RunFolder


def test_ones_own_dataset_of_files_is_read_with_the_options_of_any(tmp_path):
    for split, count in (("train", 4), ("val", 2)):
        (tmp_path / split).mkdir()
        for number in range(count):
            mask = np.zeros((8, 12), np.uint8)
            mask[:, number:6] = 255
            Image.fromarray(mask).save(tmp_path / split / f"car{number % 2}_{number}_mask.png")
            Image.fromarray(np.stack([mask] * 3, -1)).save(tmp_path / split / f"car{number % 2}_{number}.jpg")
    source = open_source("own_training:dataset", tmp_path)
    sample = source.open("train")[2]
    assert (sample.name, sample.labels[0].tolist()) == ("car1_1", [0] + [1] * 5 + [0] * 6)
    grouped = open_source("own_training:dataset,group=car.,val-group=car1", tmp_path)
    assert {grouped.open("val")[n].name[:4] for n in range(len(grouped.open("val")))} == {"car1"}
    with pytest.raises(SegfastError, match=r"unknown own_training:dataset option 'grup'\. Did you mean 'group'"):
        open_source("own_training:dataset,grup=car.", tmp_path)


def test_the_name_of_ones_own_dataset_takes_options_too():
    assert parse_name("a.b:make,group=x,y") == ("a.b:make", {"group": "x,y"})
    assert parse_name("folder:images=pics") == ("folder", {"images": "pics"})
    assert with_options("a.b:make", {"group": "x"}) == "a.b:make,group=x"
    assert with_options(with_options("folder", {"images": "p"}), {"map": "m"}) == "folder:images=p,map=m"


def test_a_training_on_ones_own_dataset_loss_schedule_and_logger(tmp_path):
    words = [
        "train", "--model", "tiny_networks:plain", "--data", "own_training:Halves", "--protocol", "standard",
        "--loss", "own_training:smooth_loss", "--schedule", "own_training:halves_schedule", "--epochs", "4",
        "--logger", "own_training:JsonLogger", "--device", "cpu", "--precision", "fp32", "--num-workers", "0",
        "--batch-size", "2", "--lr", "0.02", "-o", str(tmp_path / "run"),
    ]  # fmt: skip
    assert main(words) == 0
    records = RunFolder(tmp_path / "run").history()
    assert [record["lr"] for record in records] == pytest.approx([0.02, 0.02, 0.002, 0.002])
    mious = [record["val"]["miou"] for record in records]
    assert mious[-1] > 0.8
    assert json.loads((tmp_path / "run/own.json").read_text()) == ["tiny_networks:plain", 0, *mious, "closed"]
    assert main(["train", "-o", str(tmp_path / "run"), "--resume", "--epochs", "4"]) == 0


def test_ones_own_loss_is_the_mean_over_frames():
    torch.manual_seed(0)
    logits, targets = torch.randn(3, 2, 4, 5), torch.randint(0, 2, (3, 4, 5))
    targets[0, :2] = NOT_COUNTED
    (term,) = terms("own_training:smooth_loss", logits, targets, None)
    one_by_one = [own_training.smooth_loss(logits[i : i + 1], targets[i : i + 1]).item() for i in range(3)]
    assert float(term.total / term.count) == pytest.approx(sum(one_by_one) / 3, rel=1e-5)


def test_ones_own_schedule_follows_the_warm_up():
    one = PAPER.changed({"schedule": "own_training:halves_schedule", "epochs": 10, "warmup_epochs": 2, "lr": 1.0})
    assert [learning_rate(one, step, 1) for step in (0, 1, 2, 5, 6, 9)] == [0.5, 1.0, 1.0, 1.0, 0.1, 0.1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"recipe": PAPER.changed({"loss": "own_training:scalar_loss"})},
            r"gave \(\); expected one value for each of 2",
        ),
        ({"recipe": PAPER.changed({"loss": "own_training:none"})}, "has no function 'none'"),
        ({"recipe": PAPER.changed({"schedule": "nowhere:none"})}, "schedule 'nowhere:none': no module 'nowhere'"),
        ({"hardware": replace(CPU, loggers=("own_training:no_logger",))}, "gave a int; expected write"),
        ({"data": "own_training:CLASSES"}, "has no function 'CLASSES'"),
        ({"data": "own_training:no_logger"}, "gave a int without classes, size, splits, open"),
        ({"recipe": FULL.changed({"effects": ("own_training:none",)})}, "has no function 'none'"),
    ],
)
def test_what_ones_own_code_does_wrong_is_named(tmp_path, change, message):
    with pytest.raises(SegfastError, match=message):
        run(replace(settings(), **change), tmp_path / "run", Recorder())
