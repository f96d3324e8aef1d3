"""The proof repeated: what holds, what does not, and layer by layer how far; the figures are computed by hand here."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from runtimes import FORMATS
from tiny_export import CLASSES, write_checkpoint
from torch import nn

from segfast_edge.cli import main
from segfast_edge.contract.manifest import GOLDEN_FRAME
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.images import read_frame, write_picture
from segfast_edge.data.calibration import Calibration
from segfast_edge.export.common.parity import scene_frame
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.quantization import Agreement, Quantization
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.convert import convert
from segfast_edge.export.intermediate import readers
from segfast_edge.model.checkpoint import Checkpoint

SIZE = (32, 48)
NETWORK = "tiny_export:two_layers"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A checkpoint and what was made of it in every format."""
    folder = tmp_path_factory.mktemp("made")
    source = PreparedNetwork(write_checkpoint(folder / "a.pt"))
    for name in FORMATS:
        convert(source, ExportRequest(name, folder / name))
    return folder


def verified(capsys, *words):
    status = main(["verify", *map(str, words), "--json"])
    captured = capsys.readouterr()
    return status, json.loads(captured.out) if captured.out else captured.err


@pytest.mark.parametrize("name", FORMATS)
def test_an_artifact_holds_against_the_checkpoint_that_it_was_made_of(name, made, capsys):
    status, said = verified(capsys, made / name, "--against", made / "a.pt")
    assert (status, said["holds"], said["label_agreement_worst_frame"]) == (0, True, 1)
    assert said["frames"] == json.loads((made / name / "manifest.json").read_text())["parity"]["frames"]


@pytest.mark.parametrize("name", readers())
def test_every_layer_of_a_float_file_is_as_in_torch(name, made, capsys):
    _, said = verified(capsys, made / name, "--against", made / "a.pt", "--layers")
    assert {"stem.0", "down.0", "up.0", "up_again", "classify"} <= {each["layer"] for each in said["layers"]}
    for each in said["layers"]:
        assert each["snr_db"] is None or each["snr_db"] > 100
        assert each["cosine"] > 0.999999


@pytest.mark.parametrize("name", [each for each in FORMATS if each not in readers()])
def test_a_runtime_that_shows_nothing_inside_is_named_in_one_line(name, made, capsys):
    status, said = verified(capsys, made / name, "--against", made / "a.pt", "--layers")
    assert status == 2
    assert f"the runtime of {name} does not show what a layer computes" in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize("name", readers())
def test_a_network_with_another_last_layer_is_told_from_it_at_that_layer(name, tmp_path, capsys):
    checkpoint = Checkpoint.load(write_checkpoint(tmp_path / "a.pt", NETWORK))
    convert(PreparedNetwork(tmp_path / "a.pt"), ExportRequest(name, tmp_path / "a"))
    weights = {key: value.clone() for key, value in checkpoint.weights.items()}
    weights["2.weight"] += torch.linspace(-1, 1, weights["2.weight"].numel()).reshape(weights["2.weight"].shape)
    torch.save(weights, tmp_path / "other.pth")
    words = ["--against", NETWORK, "--layers", "--weights"]
    status, said = verified(capsys, tmp_path / "a", *words, tmp_path / "other.pth")
    assert (status, said["holds"]) == (4, False)
    found = {each["layer"]: each for each in said["layers"]}
    assert found["0"]["snr_db"] > 100
    old, new = (_second_layer(tmp_path / "a", each) for each in (checkpoint.weights, weights))
    error = ((old - new) ** 2).mean()
    assert found["2"]["mean_squared_error"] == pytest.approx(error, rel=1e-4)
    assert found["2"]["snr_db"] == pytest.approx(10 * math.log10((new**2).mean() / error), abs=1e-2)
    cosine = (old * new).sum() / math.sqrt((old**2).sum() * (new**2).sum())
    assert found["2"]["cosine"] == pytest.approx(cosine, abs=1e-5)
    torch.save({"state_dict": checkpoint.weights}, tmp_path / "right.pth")
    assert verified(capsys, tmp_path / "a", *words, tmp_path / "right.pth")[0] == 0


def _second_layer(artifact, weights):
    """Compute what the second layer gives for the golden frame, step by step."""
    pixels = Preprocess(*SIZE).image(read_frame(artifact / GOLDEN_FRAME)) / np.float32(255)
    x = ((pixels - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])).transpose(2, 0, 1)
    hidden = F.relu(F.conv2d(torch.from_numpy(x[np.newaxis].copy()), weights["0.weight"], weights["0.bias"], padding=1))
    return F.conv2d(hidden, weights["2.weight"], weights["2.bias"]).numpy().astype(np.float64)


def test_another_normalisation_than_the_checkpoints_is_found(made, tmp_path, capsys):
    checkpoint = Checkpoint.load(made / "a.pt")
    other = Preprocess(*SIZE, mean=(0.1, 0.1, 0.1))
    Checkpoint("tiny_export:decoder", CLASSES, other, "", checkpoint.weights).save(tmp_path / "b.pt")
    assert verified(capsys, made / FORMATS[0], "--against", tmp_path / "b.pt")[0] == 4


@pytest.mark.parametrize("name", readers())
def test_int8_is_held_to_what_it_reached_when_it_was_made(name, tmp_path, capsys):
    (tmp_path / "frames").mkdir()
    for seed in range(4):
        write_picture(tmp_path / f"frames/{seed}.png", scene_frame(Preprocess(*SIZE), seed))
    asked = Quantization(Calibration.open(tmp_path / "frames", None), 4, Agreement(0))
    source = PreparedNetwork(write_checkpoint(tmp_path / "a.pt"))
    convert(source, ExportRequest(name, tmp_path / "a", quantization=asked))
    status, said = verified(capsys, tmp_path / "a", "--against", tmp_path / "a.pt", "--layers")
    assert status == 0
    rates = [each["snr_db"] for each in said["layers"] if "Conv" in each["kind"]]
    assert min(rates) > 5
    assert min(rates) < 60
    spoilt = write_checkpoint(tmp_path / "b.pt", spoil=lambda weights: nn.init.normal_(weights["classify.weight"]))
    assert verified(capsys, tmp_path / "a", "--against", spoilt)[0] == 4


def test_what_cannot_be_compared_is_refused_in_one_line(made, tmp_path, capsys):
    torch.save({"scores.weight": torch.zeros(2)}, tmp_path / "w.pth")
    torch.save(torch.zeros(2), tmp_path / "none.pth")
    wider = write_checkpoint(tmp_path / "wide.pt", size=(32, 64))
    artifact, factory = made / FORMATS[0], "tiny_export:decoder"
    for words, says in (
        ((artifact, "--against", wider), "takes pictures of 32x48, and the network to compare it with of 32x64"),
        ((artifact, "--against", made / "a.pt", "--weights", tmp_path / "w.pth"), "a checkpoint has its own"),
        ((artifact, "--against", factory, "--weights", tmp_path / "w.pth"), "do not fit the network: Missing key"),
        ((artifact, "--against", factory, "--weights", tmp_path / "none.pth"), "holds no state dict"),
        ((artifact, "--against", factory, "--weights", tmp_path / "not.pth"), "no such checkpoint"),
        ((tmp_path / "nothing", "--against", factory), "no artifact folder"),
        ((artifact, "--against", "tiny_export:absent"), "has no function 'absent'"),
    ):
        status, said = verified(capsys, *words)
        assert status == 2
        assert says in said
        assert len(said.strip().splitlines()) == 1
