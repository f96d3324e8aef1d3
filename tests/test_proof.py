"""A conversion is held to the network that was handed in, whatever that consists of, and to nothing that we made of it.

The judge here is the runtime's own API against the module that the factory gives, called as its user would call it.
"""

import copy
import json

import foreign_networks
import numpy as np
import pytest
import torch
from foreign_networks import FOREIGN
from runtimes import FORMATS, computed
from torch import nn

from segfast_edge.cli import main
from segfast_edge.export.common import fold, lowerings
from segfast_edge.export.common.fold import fold_batchnorm
from segfast_edge.model.plain import is_plain, plain_copy

CLASSES, SIZE = 5, (40, 56)
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])  # what convert takes for any network


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


def normalised(frame):
    return torch.from_numpy(((frame / np.float32(255) - MEAN) / STD).transpose(2, 0, 1)[np.newaxis].copy())


def labels_in_torch(name, frame):
    network = getattr(foreign_networks, name)(CLASSES)
    network.eval()
    with torch.no_grad():
        return network(normalised(frame))[0].argmax(0).numpy()


def convert(name, target, folder, *words):
    size = "x".join(map(str, SIZE))
    command = ["convert", "--model", f"foreign_networks:{name}", "--classes", str(CLASSES), "--size", size, *words]
    return main([*command, "--target", target, "-o", str(folder)])


def every_case():
    """Each network in one format, another one for each, and in all others among the slow tests."""
    for number, name in enumerate(FOREIGN):
        for place, target in enumerate(FORMATS):
            everyday = place == number % len(FORMATS)
            yield pytest.param(name, target, id=f"{name}-{target}", marks=() if everyday else pytest.mark.slow)


@pytest.mark.parametrize(("name", "target"), list(every_case()))
def test_an_artifact_gives_the_labels_of_the_untouched_network(name, target, tmp_path):
    assert convert(name, target, tmp_path / "a") == 0
    for seed in (1, 2):
        frame = picture(seed)
        expected = labels_in_torch(name, frame)
        assert len(np.unique(expected)) > 1, "a network that gives one class proves nothing"
        assert np.mean(computed(tmp_path / "a", target, frame) == expected) > 0.999


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("drifting", "gives different logits for the same picture when it is called again"),
        ("dropping", "gives different logits for the same picture when it is called again"),
        ("infinite", "the network gives NaN or infinity for the frame 'golden'"),
        ("deciding", "layer '1' reads a value that depends on the input"),
        ("failing", "the network fails in layer '1.0' (_Wrong) on a picture of 40x56: RuntimeError"),
    ],
)
def test_what_no_artifact_can_compute_is_refused_in_one_line(name, says, tmp_path, capsys):
    assert convert(name, "torchscript", tmp_path / "a") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("target", ["torchscript", "tflite"])
def test_a_wrong_fold_is_refused_and_the_layer_named(target, tmp_path, capsys, monkeypatch):
    exact = fold._fuse

    def by_a_twentieth_too_much(convolution, norm):
        exact(convolution, norm)
        if convolution.kernel_size == (5, 5):
            convolution.weight.data *= 1.05

    monkeypatch.setattr(fold, "_fuse", by_a_twentieth_too_much)
    assert convert("several_folds", target, tmp_path / "a") == 3
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "layer 'middle.1' (BatchNorm2d, which layer 'middle.0' took over; number 6 of " in line
    assert not (tmp_path / "a").exists()


def test_a_fold_that_loses_an_activation_is_refused(tmp_path, capsys, monkeypatch):
    """What was wrong once: a subclass of a normalisation taken for the normalisation itself."""

    def by_isinstance(module, *kinds):
        return isinstance(module, kinds)

    monkeypatch.setattr(fold, "is_plain", by_isinstance)
    assert convert("norm_with_activation", "torchscript", tmp_path / "a") == 3
    assert "layer '1' (_Activated, which layer '0' took over" in capsys.readouterr().err


@pytest.mark.parametrize("target", FORMATS)
def test_a_wrong_lowering_is_refused_and_the_layer_named(target, tmp_path, capsys, monkeypatch):
    exact = lowerings.phase_weight

    def turned(layer, *rest):
        return exact(layer, *rest) if layer.groups == 1 else exact(layer, *rest).flip(0)

    monkeypatch.setattr(lowerings, "phase_weight", turned)
    assert convert("several_folds", target, tmp_path / "a", "--lowering", "subpixel") == 3
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "layer 'up' (ConvTranspose2d; number " in line
    assert not (tmp_path / "a").exists()


def test_weights_that_a_factory_draws_anew_are_those_of_the_module_that_was_handed_in(tmp_path):
    """The factory is called once: neither its random weights nor what its state dict leaves out come from a second."""
    assert convert("drawn_anew", "torchscript", tmp_path / "a") == 0
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    (network,) = foreign_networks.DRAWN
    with torch.no_grad():
        expected = network(normalised(picture(3)))[0].argmax(0).numpy()
    assert np.mean(computed(tmp_path / "a", "torchscript", picture(3)) == expected) == 1
    assert manifest["parity"]["label_agreement"] == 1


@pytest.mark.parametrize("name", FOREIGN)
def test_a_plain_copy_computes_the_same_and_leaves_the_original_as_it_was(name):
    network, other = (getattr(foreign_networks, name)(CLASSES) for _ in range(2))
    x = normalised(picture(4))
    before = copy.deepcopy(other).state_dict() if "old" not in name and name != "pruned" else None
    with torch.no_grad():
        copied = fold_batchnorm(network, x)
        torch.testing.assert_close(copied(x), other(x), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(network(x), other(x), atol=0, rtol=0)
    if before is not None and name != "counts_its_calls":
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_weights_that_were_computed_in_every_call_become_plain_and_their_norms_are_folded():
    for name in ("weight_norm_old", "weight_norm_new", "spectral_norm_old", "spectral_norm_new", "pruned"):
        network = getattr(foreign_networks, name)(CLASSES)
        assert is_plain(plain_copy(network)[0], nn.Conv2d), name
        folded = fold_batchnorm(network, normalised(picture(5)))
        assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules()), name
