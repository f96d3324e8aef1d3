"""Networks that give more than logits of the picture's size: what is taken, enlarged, assumed, and refused."""

import json

import foreign_networks
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from runtimes import FORMATS, computed
from test_proof import CLASSES, SIZE, convert, normalised, picture


def logits_in_torch(name, classes, part, mode):
    """Return what a user would take out of the output, in the picture's size."""
    with torch.no_grad():
        output = getattr(foreign_networks, name)(classes)(normalised(picture(1)))
        logits = part(output)
        if tuple(logits.shape[2:]) == SIZE:
            return logits[0]
        return F.interpolate(logits, SIZE, mode=mode, align_corners=False if mode == "bilinear" else None)[0]


@pytest.mark.parametrize(
    ("name", "words", "part", "mode", "assumed"),
    [
        ("named", (), lambda output: output["out"], None, "'out' of the network's output (aux (1, 5, 40, 56), out "),
        ("named", ("--output-key", "aux"), lambda output: output["aux"], None, ""),
        ("as_transformers", (), lambda output: output["logits"], "bilinear", "are enlarged to 40x56 bilinearly"),
        ("otherwise_named", (), lambda output: output["main"], None, "--output-key takes another"),
        ("tuple_of_two", (), lambda output: output[0], None, "the logits are '0'"),
        ("tuple_of_two", ("--output-key", "1"), lambda output: output[1], None, ""),
        ("list_of_more", ("--upsample", "bilinear"), lambda output: output[2], "bilinear", "the logits are '2'"),
        ("small", (), lambda output: output, "bilinear", "logits of 14x19 are enlarged"),
        ("small", ("--upsample", "nearest"), lambda output: output, "nearest", ""),
    ],
)
def test_the_logits_are_taken_and_what_was_assumed_is_reported(name, words, part, mode, assumed, tmp_path, capsys):
    target = FORMATS[(len(name) + len(words)) % len(FORMATS)]
    assert convert(name, target, tmp_path / "a", *words) == 0
    said = capsys.readouterr().err
    outputs = [line for line in said.splitlines() if "logits" in line]
    assert bool(outputs) == bool(assumed)
    assert assumed in said
    recorded = json.loads((tmp_path / "a" / "manifest.json").read_text())["provenance"]["assumed"]
    assert all(f"assumed: {each}" in said for each in recorded)
    expected = logits_in_torch(name, CLASSES, part, mode).argmax(0).numpy()
    assert len(np.unique(expected)) > 1
    assert np.mean(computed(tmp_path / "a", target, picture(1)) == expected) > 0.999


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_one_logit_is_a_class_where_it_is_above_zero(target, tmp_path, capsys):
    assert convert("one_logit", target, tmp_path / "a", "--classes", "2") == 0
    assert "class 1 where it is above 0" in capsys.readouterr().err
    logit = logits_in_torch("one_logit", 2, lambda output: output, "bilinear")[0].numpy()
    found = computed(tmp_path / "a", target, picture(1))
    assert 0.05 < np.mean(found) < 0.95
    assert np.mean(found == (logit > 0)) > 0.999


@pytest.mark.parametrize(
    ("name", "words", "says"),
    [
        ("named", ("--output-key", "head"), "--output-key head: the network's output has aux (1, 5, 40, 56), out"),
        ("tuple_of_two", ("--output-key", "2"), "--output-key 2: the network's output has 0 (1, 5"),
        ("small", ("--output-key", "out"), "the network gives one tensor; leave --output-key out"),
        (
            "named",
            ("--output-key", "out", "--classes", "4", "--model", "foreign_networks:five"),
            "the network gives (1, 5",
        ),
        ("one_logit", (), "with one logit per pixel, converts with --classes 2"),
        ("channels_last", (), "Its classes are the last axis: return logits.permute(0, 3, 1, 2)"),
        ("picture_level", (), "the network gives (1, 5); expected logits of shape (1, 5, 40, 56)"),
        ("larger", (), "gives logits of 80x112 for a picture of 40x56"),
    ],
)
def test_an_output_without_logits_is_refused_in_one_line(name, words, says, tmp_path, capsys):
    assert convert(name, "torchscript", tmp_path / "a", *words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert not (tmp_path / "a").exists()


def test_a_network_of_torchvision_is_taken_as_it_is(tmp_path):
    assert convert("dictionary", "torchscript", tmp_path / "a") == 0
