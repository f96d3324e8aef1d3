"""Parameters and MACs against numbers computed by hand, and what the two verbs print."""

import json
import sys

import pytest

from segfast_edge.cli import main
from segfast_edge.errors import SegfastError
from segfast_edge.model import networks
from segfast_edge.model.summary import REST, summarise

COUNTED = """
import torch
from torch import nn
import torch.nn.functional as F

class Counted(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)  # gives 8 x 10 x 12
        self.parts = nn.ModuleList([nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)])
        self.up = nn.ConvTranspose2d(8, 4, 2, 2, groups=4, bias=False)  # gives 4 x 20 x 24
        self.last = nn.Conv2d(4, classes, 1)
        self.linear = nn.Linear(classes, classes)
        self.extra = nn.Parameter(torch.zeros(7))

    def forward(self, x):
        x = self.last(self.up(self.parts[1](self.parts[0](self.first(x)))))
        x = F.conv2d(x, torch.ones(5, 1, 1, 1, device=x.device), groups=5)  # belongs to no block
        return x + self.linear(x.mean((2, 3)))[:, :, None, None]

def make(classes): return Counted(classes)
def small(classes): return nn.Conv2d(3, classes, 3)
def several(classes): return nn.LSTM(3, 4)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_counted.py").write_text(COUNTED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_counted", raising=False)


@pytest.mark.usefixtures("own")
def test_macs_and_parameters_are_those_counted_by_hand():
    found = summarise("own_counted:make", 5, (20, 24))
    rows = {row.name: (row.shape, row.parameters, row.macs) for row in found.rows}
    assert rows == {
        "first": ((8, 10, 12), 3 * 9 * 8 + 8, 10 * 12 * 3 * 9 * 8),
        "parts.0": ((8, 10, 12), 16, 0),
        "parts.1": ((8, 10, 12), 72, 10 * 12 * 9 * 8),
        "up": ((4, 20, 24), 8 * 1 * 4, 10 * 12 * 8 * 1 * 4),  # every input pixel meets every tap once
        "last": ((5, 20, 24), 4 * 5 + 5, 20 * 24 * 4 * 5),
        "linear": ((5,), 30, 25),
        REST: ((), 7, 20 * 24 * 5),
    }
    assert found.parameters == sum(count for _, count, _ in rows.values())
    assert found.macs == sum(macs for *_, macs in rows.values())


@pytest.mark.usefixtures("own")
def test_a_network_that_gives_no_logits_at_the_inputs_size_is_refused():
    with pytest.raises(SegfastError, match=r"gives \(1, 4, 14, 14\); expected logits of shape \(1, 4, 16, 16\)"):
        summarise("own_counted:small", 4, (16, 16))


def test_segfast_fast_does_under_two_fifths_of_segfasts_work():
    fast, plain = (summarise(name, 22, (224, 224)) for name in ("segfast_fast", "segfast"))
    assert fast.macs < 0.4 * plain.macs
    assert sum(row.macs for row in plain.rows) == plain.macs


def test_summary_prints_json_with_the_agreed_keys(capsys):
    assert main(["summary", "segfast", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    blocks = value.pop("blocks")
    assert value == {"model": "segfast", "classes": 22, "parameters": 599_958, "macs": 768_037_760}
    assert sum(block["parameters"] for block in blocks) == value["parameters"]
    assert set(blocks[0]) == {"name", "shape", "parameters", "macs"}


def test_summary_takes_classes_and_size(capsys):
    assert main(["summary", "segfast", "--json", "--classes", "12", "--size", "360x480"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["classes"] == 12
    assert value["blocks"][-1]["shape"] == [12, 184, 240]  # 360 is padded to 368


def test_summary_prints_a_table(capsys):
    assert main(["summary", "segfast"]) == 0
    text = capsys.readouterr().out
    assert "599,958" in text
    assert "768,037,760" in text
    assert "block4" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["segfsat"], "Did you mean 'segfast'?"),
        (["no_such_module:make"], "no module 'no_such_module'"),
        (["segfast", "--classes", "1"], "got 1 classes; expected 2 to 255"),
        (["segfast", "--size", "big"], "size 'big' is not HxW"),
        (["segfast", "--size", "8x8"], "input height 8 is outside 16 to 8192"),
    ],
)
def test_summary_refuses_nonsense_in_one_line(words, says, capsys):
    assert main(["summary", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert captured.err.count("\n") == 1


def test_models_lists_every_network(capsys):
    assert main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in rows] == networks()
    assert {"model": "segnet", "classes": 22, "parameters": 29_455_702}.items() <= rows[-1].items()
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in networks())
