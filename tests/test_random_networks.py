"""Random small networks out of the operator families, through every format: right, or refused in one line.

The judge is the runtime's own API against torch's eager module; no example may differ in silence. Every network is
given by one seed, which a failure prints; ``RANDOM_NETWORKS_SEED`` repeats the examples of another run.
"""

import os
import random
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, event, given, note, seed, settings
from hypothesis import strategies as st
from runtimes import FORMATS, computed
from test_proof import normalised
from torch import nn

from segfast_edge.contract.classes import numbered
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.errors import ConversionError, ParityError
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.convert import convert
from segfast_edge.model.checkpoint import as_built

CLASSES, SIZE = 4, (24, 32)
SEED = int(os.environ.get("RANDOM_NETWORKS_SEED", "0"))  # another seed, other networks


class Step(nn.Module):
    """A function of a map, and the layers that it uses."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x):
        return self.function(x, *self.layers)


def tokens(x, *layers):
    """Apply layers to the places of a map as to words."""
    y = x.flatten(2).transpose(1, 2)
    for layer in layers:
        y = y + layer(y)
    return y.transpose(1, 2).reshape(x.shape)


def attended(x, qkv):
    y = F.avg_pool2d(x, 4)
    query, key, value = qkv(y.flatten(2).mT).chunk(3, -1)
    return x + F.interpolate(F.scaled_dot_product_attention(query, key, value).mT.reshape(y.shape), x.shape[2:])


def excited(x, down, up):
    weights = up(F.relu(down(x.mean((2, 3))))).sigmoid()
    return x * weights[:, :, None, None]


def families(c, pick):
    """Return layers by the name of their family; each keeps the number of channels ``c`` and the size."""
    kernel, groups, axis, by = pick([1, 3, 5]), pick([1, c]), pick([1, 2, 3]), pick([1, -3])
    padding, resizing = pick(["reflect", "replicate", "circular"]), pick(["bilinear", "nearest", "nearest-exact"])
    mlp = nn.Sequential(nn.LayerNorm(c), nn.Linear(c, 2 * c), nn.GELU(), nn.Linear(2 * c, c))
    return {
        "conv": nn.Conv2d(c, c, kernel, padding=kernel // 2, bias=pick([True, False])),
        "grouped": nn.Conv2d(c, c, 3, padding=2, dilation=2, groups=pick([2, c])),
        "padded": nn.Conv2d(c, c, 3, padding=1, padding_mode=padding),
        "conv_norm": nn.Sequential(nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)),
        "down_up": nn.Sequential(nn.Conv2d(c, c, 3, 2, 1), nn.ConvTranspose2d(c, c, 2, 2, groups=groups)),
        "weight_norm": nn.utils.parametrizations.weight_norm(nn.Conv2d(c, c, 1)),
        "smooth": pick([nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.SELU, nn.ELU, nn.Tanh, nn.Softsign])(),
        "hard": pick([nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh])(),
        "prelu": nn.PReLU(groups),
        "norm": pick([nn.BatchNorm2d(c), nn.GroupNorm(2, c), nn.InstanceNorm2d(c, affine=True)]),
        "layer_norm": Step(lambda x, norm: norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), nn.LayerNorm(c)),
        "tokens": Step(tokens, mlp),
        "attention": Step(attended, nn.Linear(c, 3 * c)),
        "excited": Step(excited, nn.Linear(c, c // 2), nn.Linear(c // 2, c)),
        "pooled": Step(
            lambda x, pool: F.interpolate(pool(x), x.shape[2:], mode=resizing),
            pick([nn.MaxPool2d(2), nn.AvgPool2d(3, 2, 1), nn.AdaptiveAvgPool2d((3, 5)), nn.MaxPool2d(3, 2, 1)]),
        ),
        "strips": Step(lambda x: x + x.mean(3, keepdim=True) - x.amax(2, keepdim=True)),
        "spread": Step(lambda x: (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 0.5)),
        "shuffled": nn.ChannelShuffle(2),
        "pixels": Step(lambda x: F.pixel_shuffle(F.pixel_unshuffle(x, 2), 2)),
        "by_hand": Step(lambda x: x.view(1, 2, c // 2, *x.shape[2:]).transpose(1, 2).reshape(x.shape)),
        "halves": Step(lambda x: torch.cat([x[:, c // 2 :] * x[:, : c // 2].sigmoid(), x.chunk(2, 1)[0]], 1)),
        "turned": Step(lambda x: x.flip(axis).roll(by, 2)),
        "chosen": Step(lambda x: torch.where(x > 0, x**2, -x).clamp(max=4.0)),
        "skip": Step(lambda x, conv, norm: x + F.relu(norm(conv(x))), nn.Conv2d(c, c, 1), nn.BatchNorm2d(c)),
        "slices": Step(lambda x: torch.stack([x[:, ::2], x[:, 1::2]], 2).flatten(1, 2)),
    }


NAMES = sorted(families(4, lambda among: among[0]))


class Network(nn.Module):
    """A stem that may halve the size, a few layers, and a head whose output may be a dictionary or small."""

    def __init__(self, names, chance):
        super().__init__()
        channels = chance.choice([4, 8])
        self.stem = nn.Conv2d(3, channels, 3, chance.choice([1, 2]), 1)
        self.body = nn.Sequential(*(families(channels, chance.choice)[name] for name in names))
        self.head = nn.Conv2d(channels, CLASSES, 1)
        self.packed = chance.choice([None, "out", 0])

    def forward(self, x):
        logits = self.head(self.body(self.stem(x)))
        return logits if self.packed is None else {"out": logits} if self.packed == "out" else (logits,)


def network_of(names, number):
    """Give the same network for the same seed; its functions make their choices once."""
    torch.manual_seed(number)
    network = Network(names, random.Random(number))
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.running_mean.uniform_(-0.5, 0.5)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
    return network.eval()


def labels_in_torch(network, frame):
    with torch.no_grad():
        output = network(normalised(frame))
    logits = output["out"] if isinstance(output, dict) else output[0] if isinstance(output, tuple) else output
    if tuple(logits.shape[2:]) != SIZE:
        logits = F.interpolate(logits, SIZE, mode="bilinear", align_corners=False)
    return logits[0].argmax(0).numpy()


def is_right(names, number, folder):
    """Convert a network to one format by its number and compare; one that a converter does not cover counts too."""
    target = FORMATS[number % len(FORMATS)]
    network = network_of(names, number)
    as_built(network, "random", numbered(CLASSES), Preprocess(*SIZE)).save(folder / "a.pt")
    try:
        convert(PreparedNetwork(folder / "a.pt", network=network), ExportRequest(target, folder / "a"))
    except ParityError:  # caught, so nothing was silent, but one of ours wrote something wrong
        raise
    except ConversionError as error:
        event(f"{target}: {error}")
        return "\n" not in str(error)
    event(f"{target}: converted")
    frame = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8)
    return np.mean(computed(folder / "a", target, frame) == labels_in_torch(network, frame)) > 0.999


NETWORKS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4), st.integers(0, 2**31)
SLOWLY = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def held_to_torch(names, number, tmp_path_factory):
    note(f"RANDOM_NETWORKS_SEED={SEED}: {names}, seed {number}, {FORMATS[number % len(FORMATS)]}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert is_right(names, number, tmp_path_factory.mktemp("random"))


@seed(SEED)
@settings(max_examples=4, **SLOWLY)
@given(names=NETWORKS[0], number=NETWORKS[1])
def test_a_few_random_networks_are_right_or_refused(tmp_path_factory, names, number):
    held_to_torch(names, number, tmp_path_factory)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@seed(SEED)
@settings(max_examples=int(os.environ.get("RANDOM_NETWORKS", "40")), **SLOWLY)
@given(names=NETWORKS[0], number=NETWORKS[1])
def test_two_hundred_random_networks_are_right_or_refused(tmp_path_factory, names, number):
    print(f"RANDOM_NETWORKS_SEED={SEED}")
    held_to_torch(names, number, tmp_path_factory)
