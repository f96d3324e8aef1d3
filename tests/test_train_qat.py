"""Training for int8: rounding as in the files, a loss that falls under it, and weights that stay ordinary."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_training as tiny
import torch
from torch import nn

from segfast_edge.cli import main
from segfast_edge.contract.classes import IGNORED
from segfast_edge.contract.formats import integer_formats
from segfast_edge.contract.shared.files import sha256
from segfast_edge.data import Protocol, native_size, open_dataset
from segfast_edge.device.spawn import outputs
from segfast_edge.errors import SegfastError
from segfast_edge.export import exporter
from segfast_edge.export.common.conversion import begin
from segfast_edge.export.common.exporter import Int8Recipe
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.model import build
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.model.fake_int8 import plain, rounded_input, with_fake_int8
from segfast_edge.training.recipe import recipe

QAT = recipe("qat").changed({"epochs": 8, "batch_size": 2, "lr": 1e-3, "augment": False})
WIDE = 10.0 ** torch.linspace(-1.2, 1.2, 8)


def test_rounding_has_256_steps_and_keeps_zero_which_padding_needs():
    x = torch.linspace(-2, 3, 5001)
    rounded = rounded_input(x, -1.0, 2.0)
    assert len(rounded.unique()) == 256
    assert (rounded == 0).any()
    inside = (x > -0.99) & (x < 1.99)
    assert float((rounded - x)[inside].abs().max()) <= 3.0 / 255 / 2 + 1e-6
    assert torch.equal(rounded_input(torch.zeros(3), 0.0, 0.0), torch.zeros(3))


LAYERS = {
    "convolution": lambda: nn.Conv2d(4, 6, 3, 2, 1, groups=2),
    "depthwise transposed": lambda: nn.ConvTranspose2d(4, 4, 3, 2, 1, 1, groups=4),
    "transposed": lambda: nn.ConvTranspose2d(4, 6, 2, 2, groups=2, bias=False),
    "linear": lambda: nn.Linear(4, 6),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_whose_values_are_on_the_grid_computes_what_it_did(name):
    torch.manual_seed(0)
    layer = LAYERS[name]()
    with torch.no_grad():
        layer.weight.copy_(torch.randint(-127, 128, layer.weight.shape))
        layer.weight[(slice(None), slice(None), 0, 0)[: layer.weight.ndim]] = 127.0  # every output channel spans it
    x = torch.randint(-100, 156, (2, 4) if name == "linear" else (2, 4, 8, 8)).float()
    x.view(-1)[:2] = torch.tensor([-100.0, 155.0])
    expected = layer(x)
    rounding = with_fake_int8(nn.Sequential(layer)).train()
    torch.testing.assert_close(rounding(x), expected)
    torch.testing.assert_close(rounding.eval()(x + 0.3), expected)


def test_only_values_within_the_range_get_a_gradient_and_weights_get_it_unrounded():
    layer = with_fake_int8(nn.Sequential(nn.Conv2d(1, 1, 1, bias=False)))
    layer(torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2))  # the range is 0 to 1 now
    x = torch.tensor([-1.0, 0.4, 0.9, 2.0]).reshape(1, 1, 1, 4).requires_grad_()
    layer.eval()(x).sum().backward()
    weight = layer[0].weight
    torch.testing.assert_close(x.grad.flatten(), torch.tensor([0.0, 1.0, 1.0, 0.0]) * weight.item())
    assert weight.grad.item() == pytest.approx(0 + 0.4 + 0.9 + 1, abs=0.01)


def test_names_of_weights_stay_and_statistics_are_frozen():
    network = build("tiny_networks:normalised", 5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with_fake_int8(network).train()
    network(torch.randn(2, 3, 16, 16))
    after = network.state_dict()
    assert plain(after).keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert sorted(after.keys() - before.keys()) == ["layers.0.input_range", "layers.4.input_range"]


def test_a_network_without_layers_to_round_is_refused():
    with pytest.raises(SegfastError, match="nothing to train for int8"):
        with_fake_int8(nn.ReLU())


def test_training_for_int8_begins_with_weights(capsys, tmp_path):
    assert main(["train", "--recipe", "qat", "--data", tiny.DATA, "--output-dir", str(tmp_path / "a")]) == 2
    said = capsys.readouterr().err
    assert said == "segfast-edge: training for int8 needs trained weights; pass --start CHECKPOINT\n"
    words = ["train", "--recipe", "qat", "--start", str(tmp_path / "none.pt"), "--output-dir", str(tmp_path / "a")]
    assert main(words) == 2
    assert "no checkpoint file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("float")
    tiny.run(tiny.settings(tiny.PAPER.changed({"epochs": 30, "lr": 1e-2})), folder)
    return folder / "best.pt"


@pytest.fixture(scope="module")
def wide(trained, tmp_path_factory):
    """The same function in float, whose channels differ 250-fold in range, so that int8 loses the small ones."""
    checkpoint = Checkpoint.load(trained)
    weights = dict(checkpoint.weights)
    weights["layers.0.weight"] = weights["layers.0.weight"] * WIDE.view(-1, 1, 1, 1)
    weights["layers.0.bias"] = weights["layers.0.bias"] * WIDE
    weights["layers.2.weight"] = weights["layers.2.weight"] / WIDE.view(1, -1, 1, 1)
    path = tmp_path_factory.mktemp("wide") / "wide.pt"
    replace(checkpoint, weights=weights).save(path)
    return path


@pytest.fixture(scope="module")
def tuned(wide, tmp_path_factory):
    folder, told = tmp_path_factory.mktemp("qat"), tiny.Recorder()
    tiny.run(tiny.settings(QAT, start=wide), folder, told)
    return folder / "best.pt", told.records


def test_the_loss_in_int8_falls_and_the_checkpoint_says_what_it_is(tuned, wide):
    path, records = tuned
    assert records[-1]["loss"] < 0.95 * records[0]["loss"]
    checkpoint = Checkpoint.load(path)
    assert checkpoint.module() is not None, "the weights are the network's own, with nothing besides"
    assert checkpoint.provenance["recipe"]["fake_int8"] is True
    assert checkpoint.provenance["start"] == {"checkpoint": "wide.pt", "sha256": sha256(wide)}


def int8_accuracy(path, name, folder):
    """Return the share of the training frames' pixels that the int8 file of a checkpoint labels rightly."""
    folder.mkdir()
    source = PreparedNetwork(path)
    conversion = begin(source, ExportRequest(name, folder), exporter(name), folder, lambda _: None)
    protocol = Protocol.named("paper", native_size(tiny.DATA, None), (32, 48))
    dataset = open_dataset(tiny.DATA, None, "train", protocol)
    samples = [dataset[index] for index in range(len(dataset))]
    frames = [source.checkpoint.preprocess.image(sample.frame) for sample in samples]
    exporter(name).quantize(conversion.graph, conversion.draft, folder, Int8Recipe(frames)).save(folder)
    found = outputs(folder, [(str(index), frame) for index, frame in enumerate(frames)])
    right = [(raw[0] == sample.labels)[sample.labels != IGNORED] for raw, sample in zip(found, samples, strict=True)]
    found.close()
    return float(np.mean(np.concatenate(right)))


@pytest.mark.slow
@pytest.mark.parametrize("name", integer_formats())
def test_the_int8_file_of_every_format_is_better_for_it(name, tuned, wide, tmp_path):
    before, after = int8_accuracy(wide, name, tmp_path / "before"), int8_accuracy(tuned[0], name, tmp_path / "after")
    assert after > before + 0.005


@pytest.mark.slow
def test_it_goes_on_exactly_where_it_stopped(wide, tmp_path):
    chosen = tiny.settings(QAT.changed({"epochs": 2}), start=wide)
    tiny.run(chosen, tmp_path / "whole")
    tiny.run(chosen, tmp_path / "cut", tiny.Recorder((1, 3), tiny.interrupt))
    tiny.run(chosen, tmp_path / "cut", resume=True)
    assert tiny.same(tiny.weights(tmp_path / "whole"), tiny.weights(tmp_path / "cut"))
