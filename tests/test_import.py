"""Finished files of other people: made here by other exporters, and held to the module that they were made from."""

import importlib
import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import onnx
import openvino
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from runtimes import computed
from tiny_networks import normalised
from torch import nn

from segfast_edge.cli import main
from segfast_edge.contract.manifest import Manifest

SIZE, CLASSES = (32, 48), 5


class Quarter(nn.Module):
    """Logits of a quarter of the size, and something else beside them."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, CLASSES, 3, 2, 1))

    def forward(self, x):
        logits = self.layers(x)
        return {"aux": logits.mean((2, 3)), "scores": logits}


class OneLogit(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 3, 1, 1, bias=False)

    def forward(self, x):
        return self.layer(x - 0.5)


def network(kind):
    torch.manual_seed(4)
    return {"plain": lambda: normalised(CLASSES), "quarter": Quarter, "one": OneLogit}[kind]().eval()


def bare(folder, kind, ending, *, dynamic=False):
    """Write a file as anybody would."""
    module, example = network(kind), torch.zeros(1, 3, *SIZE)
    names = ["aux", "scores"] if kind == "quarter" else ["scores"]
    path = folder / f"theirs{ending}"
    if ending == ".onnx":
        axes = {"x": {0: "n", 2: "h", 3: "w"}} if dynamic else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the old exporter, which most files that there are come from
            torch.onnx.export(
                module, (example,), path, dynamo=False, input_names=["x"], output_names=names, dynamic_axes=axes
            )
    else:
        model = openvino.convert_model(module, example_input=example)
        for output, name in zip(model.outputs, names, strict=True):
            output.get_tensor().set_names({name})
        openvino.save_model(model, path, compress_to_fp16=False)
    return path


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


def logits_in_torch(kind, x):
    with torch.no_grad():
        found = network(kind)(torch.from_numpy(np.float32(x).transpose(2, 0, 1)[np.newaxis].copy()))
        found = found["scores"] if isinstance(found, dict) else found
        return F.interpolate(found, SIZE, mode="bilinear", align_corners=False)[0].numpy()


def imported(path, folder, *words):
    return main(["import", str(path), "--size", "x".join(map(str, SIZE)), "-o", str(folder), *words])


FORMAT = {".onnx": "onnx", ".xml": "openvino"}


@pytest.mark.parametrize("kind", ["plain", "quarter", "one"])
@pytest.mark.parametrize("ending", FORMAT)
def test_an_imported_file_labels_pictures_as_its_network_does(ending, kind, tmp_path, capsys):
    words = ("--classes", "2" if kind == "one" else str(CLASSES), "--value-range", "0,255", "--channel-order", "BGR")
    words = (*words, "--mean", "100,110,120", "--std", "50,60,70")
    assert imported(bare(tmp_path, kind, ending), tmp_path / "a", *words) == 0
    said = capsys.readouterr()
    assert "100.000% of labels" in said.out
    assert ("are enlarged to 32x48 bilinearly" in said.err) == (kind == "quarter")
    frame = picture(1)
    logits = logits_in_torch(kind, (frame[..., ::-1] - np.float32([100, 110, 120])) / np.float32([50, 60, 70]))
    expected = logits[0] > 0 if kind == "one" else logits.argmax(0)
    assert len(np.unique(expected)) > 1
    assert np.mean(computed(tmp_path / "a", FORMAT[ending], frame) == expected) > 0.999


def test_the_artifact_goes_where_every_other_goes(tmp_path, capsys):
    path = bare(tmp_path, "plain", ".onnx", dynamic=True)
    words = ("--mean", "0.5", "--std", "0.25", "--class-names", "road,car,sky,tree,person")
    assert imported(path, tmp_path / "a", *words) == 0
    manifest = Manifest.load(tmp_path / "a")
    assert manifest.provenance["imported"]["file"] == "theirs.onnx"
    assert manifest.classes.names == ("road", "car", "sky", "tree", "person")
    Image.fromarray(picture(2)).save(tmp_path / "frame.png")
    words = ("--model", str(tmp_path / "a"), "--out", str(tmp_path / "p"))
    assert main(["predict", str(tmp_path / "frame.png"), *words]) == 0
    (mask,) = [each for each in (tmp_path / "p").rglob("*.png") if "mask" in str(each)]
    expected = logits_in_torch("plain", (picture(2) / np.float32(255) - 0.5) / 0.25).argmax(0)
    assert np.mean(np.asarray(Image.open(mask)) == expected) > 0.999
    assert main(["bundle", str(tmp_path / "a"), "--target", "x86", "--unsigned", "-o", str(tmp_path / "b.zip")]) in (
        0,
        2,
    )
    capsys.readouterr()
    assert main(["profile", str(tmp_path / "a"), "--max-secs", "1", "--json"]) in (0, 5)
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "a"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["provenance"]["imported"]


def test_what_cannot_be_imported_is_refused_in_one_line(tmp_path, capsys):
    path = bare(tmp_path, "plain", ".onnx")
    (tmp_path / "a.onnx").write_bytes(b"no model at all")
    shutil.copy(path, tmp_path / "a.bin")
    labels = onnx.load(path)
    labels.graph.node.append(onnx.helper.make_node("ArgMax", ["scores"], ["numbers"], axis=1, keepdims=0))
    del labels.graph.output[:]
    labels.graph.output.append(onnx.helper.make_tensor_value_info("numbers", onnx.TensorProto.INT64, (1, *SIZE)))
    onnx.save(labels, tmp_path / "labels.onnx")
    for file, words, says in (
        (path, ("--classes", "4"), "the network gives (1, 5, 32, 48); expected logits of shape (1, 4, 32, 48)"),
        (path, ("--classes", "5", "--output-key", "other"), "--output-key other: the network's output has scores"),
        (path, (), "how many classes are there?"),
        (path, ("--classes", "5", "--size", "48x48"), "is no ONNX file of one float32 picture 1 x 3 x 48 x 48: "),
        (tmp_path / "a.onnx", ("--classes", "5"), "is no ONNX file"),
        (tmp_path / "a.bin", ("--classes", "5"), "cannot be imported; files that can end in .onnx, .xml"),
        (tmp_path / "none.onnx", ("--classes", "5"), "no model file at"),
        (tmp_path / "labels.onnx", ("--classes", "5"), "the network gives (1, 32, 48); expected logits"),
    ):
        assert imported(file, tmp_path / "out", *words) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert says in line
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ending", FORMAT)
def test_a_front_that_normalises_otherwise_is_caught_and_nothing_is_left(ending, tmp_path, monkeypatch, capsys):
    module = importlib.import_module(f"segfast_edge.export.imported.{FORMAT[ending]}")
    right = module.Normalise
    monkeypatch.setattr(module, "Normalise", lambda preprocess: right(replace(preprocess, mean=(0.4, 0.4, 0.4))))
    path = bare(tmp_path, "plain", ending)
    assert imported(path, tmp_path / "a", "--classes", "5", "--mean", "0.5", "--std", "0.5") == 3
    assert "does not compute what" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
