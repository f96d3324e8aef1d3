"""Trainings of tiny networks on a few drawn scenes, for tests."""

import os
import signal

import torch

from segfast_edge.training.recipe import recipe
from segfast_edge.training.run_folder import RunFolder
from segfast_edge.training.settings import Hardware, TrainingSettings
from segfast_edge.training.train import Start, train

DATA = "scenes:size=32x48,train=9,val=2"
CPU = Hardware(device="cpu", precision="fp32", workers=0)
# everything that has a state of its own: augmentation, dropout, running statistics, AdamW, EMA, warm-up
FULL = recipe("edge").changed({"epochs": 3, "batch_size": 2, "warmup_epochs": 1})
PAPER = recipe("paper").changed({"epochs": 3, "batch_size": 2})


class Recorder:
    """Follows a training, and does something after one of its steps."""

    def __init__(self, at=None, act=None):
        self.steps, self.records, self._at, self._act = [], [], at, act

    def reading(self, done, total):
        pass

    def stepped(self, progress):
        self.steps.append((progress.epoch, progress.step))
        if self.steps[-1] == self._at:
            self._act()

    def validated(self, record):
        self.records.append(record)


def settings(one=PAPER, model="tiny_networks:plain", **changes):
    return TrainingSettings(model=model, data=DATA, size=(32, 48), recipe=one, hardware=CPU, **changes)


def run(chosen, folder, observer=None, **start):
    return train(chosen, RunFolder(folder), observer or Recorder(), start=Start(**start))


def weights(folder, name="module"):
    return torch.load(folder / "last.pt", weights_only=True)[name]


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one) and one.keys() == other.keys()


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
