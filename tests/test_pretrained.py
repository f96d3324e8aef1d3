"""Published weights: the encoder that is filled with them computes what the network they belong to computes."""

import os
from importlib import metadata

import pytest
import torch
from torch.nn import functional as F

from segfast_edge.errors import SegfastError
from segfast_edge.model import build
from segfast_edge.model.pretrained import pretrained_of, start_from_pretrained


def published_features(weights, x):
    """EfficientNet-Lite0 down to 1/16 in plain functions of the published tensors: no module of ours takes part."""

    def layer(x, conv, norm, *, stride=1, act=True):
        kernel = weights[f"{conv}.weight"]
        groups = x.shape[1] if kernel.shape[1] == 1 and kernel.shape[0] == x.shape[1] else 1
        x = F.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2, 1, groups)
        values = [weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = F.batch_norm(x, *values, eps=1e-3)
        return F.relu6(x) if act else x

    x = layer(x, "_conv_stem", "_bn0", stride=2)
    for number in range(11):
        name, before = f"_blocks.{number}", x
        if f"{name}._expand_conv.weight" in weights:
            x = layer(x, f"{name}._expand_conv", f"{name}._bn0")
        stride = 2 if number in (1, 3, 5) else 1
        x = layer(x, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride)
        x = layer(x, f"{name}._project_conv", f"{name}._bn2", act=False)
        x = x + before if x.shape == before.shape else x
    return x


def synthetic(network):
    """Tensors with the published names and shapes, for a machine without the package."""
    shapes = {}
    convs = [
        "_conv_stem",
        *(f"_blocks.{n}.{c}" for n in range(11) for c in ("_expand_conv", "_depthwise_conv", "_project_conv")),
    ]
    norms = {"_conv_stem": "_bn0", "_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}
    widths = [16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112]
    inputs = [32, *widths[:-1]]
    kernels = [3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5]
    for name in convs:
        block, _, kind = name.rpartition(".")
        if name == "_conv_stem":
            shape = (32, 3, 3, 3)
        else:
            number = int(block.rpartition(".")[2])
            wide = inputs[number] * (1 if number == 0 else 6)
            if number == 0 and kind == "_expand_conv":
                continue
            shape = {
                "_expand_conv": (wide, inputs[number], 1, 1),
                "_depthwise_conv": (wide, 1, kernels[number], kernels[number]),
                "_project_conv": (widths[number], wide, 1, 1),
            }[kind]
        shapes[f"{name}.weight"] = shape
        for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            norm = f"{block}.{norms[kind]}" if block else norms[name]
            shapes[f"{norm}.{part}"] = () if part == "num_batches_tracked" else (shape[0],)
    torch.manual_seed(0)
    return {
        key: torch.rand(shape) + 0.5 if key.endswith("running_var") else torch.randn(shape) * 0.3
        for key, shape in shapes.items()
    }


@torch.no_grad()
def test_the_filled_encoder_computes_what_the_published_tensors_compute():
    from segfast_edge.model.zoo import segfast_lite

    network = build("segfast_lite", 3).eval()
    weights = synthetic(network)
    segfast_lite.start(network, weights)
    x = torch.randn(1, 3, 64, 80)
    stages = network.encoder
    found = stages["stem"](x)
    for number in range(5):
        found = stages[f"stage{number}"](found)
    torch.testing.assert_close(found, published_features(weights, x), rtol=1e-4, atol=1e-4)


def test_the_installed_package_fits_the_network():
    try:
        metadata.distribution(pretrained_of("segfast_lite").distribution)
    except metadata.PackageNotFoundError:
        if os.environ.get("CI"):
            raise
        pytest.skip("the package with the published weights is not installed")
    network = build("segfast_lite", 3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    start_from_pretrained("segfast_lite", network)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    encoder = {name for name in before if name.startswith("encoder.") and "num_batches" not in name}
    assert changed - {name for name in changed if "num_batches" in name} == encoder


def test_a_network_without_published_weights_names_those_that_have_them():
    with pytest.raises(SegfastError, match="no pretrained weights for segfast; there are for: segfast_lite"):
        pretrained_of("segfast")
