"""Every form of the transposed convolution computes what torch's does."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from segfast_edge.errors import ConversionError
from segfast_edge.export.common.fold import fold_batchnorm
from segfast_edge.export.common.lowerings import LOWERINGS, lower
from segfast_edge.export.torchscript import BiasApart, biases_apart
from segfast_edge.model.blocks import up_bn

pairs = st.tuples
sides = st.integers(1, 7)


@st.composite
def layers(draw):
    groups = draw(st.integers(1, 4))
    stride = draw(pairs(st.integers(1, 4), st.integers(1, 4)))
    kernel = draw(pairs(st.integers(1, 7), st.integers(1, 7)))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (3, 2)]))
    padding = draw(pairs(*(st.integers(0, side) for side in kernel)))
    extra = draw(pairs(*(st.integers(0, max(pair) - 1) for pair in zip(stride, dilation, strict=True))))
    return nn.ConvTranspose2d(
        groups * draw(st.integers(1, 3)),
        groups * draw(st.integers(1, 3)),
        kernel,
        stride,
        padding,
        extra,
        groups=groups,
        bias=draw(st.booleans()),
        dilation=dilation,
    )


def output(layer, x, size=None):
    """Run torch's layer, or give up on an example that torch itself refuses."""
    try:
        y = layer(x, size) if size else layer(x)
    except (RuntimeError, ValueError):
        assume(False)
    assume(y.numel() > 0)
    return y


@settings(max_examples=80, deadline=None)
@given(layer=layers(), size=pairs(sides, sides), name=st.sampled_from(sorted(LOWERINGS)), seed=st.integers(0, 999))
def test_every_lowering_equals_torch(layer, size, name, seed):
    torch.manual_seed(seed)
    nn.init.normal_(layer.weight)
    x = torch.randn(2, layer.in_channels, *size)
    with torch.no_grad():
        expected = output(layer, x)
        torch.testing.assert_close(lower(layer, name)(x), expected, atol=1e-5, rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(layer=layers(), size=pairs(sides, sides), name=st.sampled_from(sorted(LOWERINGS)), extra=pairs(sides, sides))
def test_every_lowering_takes_an_output_size(layer, size, name, extra):
    x = torch.randn(1, layer.in_channels, *size)
    with torch.no_grad():
        least = [side - more for side, more in zip(output(layer, x).shape[2:], layer.output_padding, strict=True)]
        asked = [side + more % stride for side, more, stride in zip(least, extra, layer.stride, strict=True)]
        expected = output(layer, x, asked)
        torch.testing.assert_close(lower(layer, name)(x, asked), expected, atol=1e-5, rtol=1e-5)


def test_the_original_is_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(2, 4, 1), nn.Sequential(nn.ConvTranspose2d(4, 4, 2, 2, groups=4)))
    lowered = lower(network, "subpixel")
    assert any(isinstance(module, nn.ConvTranspose2d) for module in network.modules())
    assert not any(isinstance(module, nn.ConvTranspose2d) for module in lowered.modules())


def test_a_depthwise_2x2_becomes_one_pointwise_depthwise_convolution():
    lowered = lower(nn.Sequential(nn.ConvTranspose2d(8, 8, 2, 2, groups=8)), "subpixel")
    (convolution,) = [module for module in lowered.modules() if isinstance(module, nn.Conv2d)]
    assert convolution.kernel_size == (1, 1)
    assert (convolution.out_channels, convolution.groups) == (32, 8)


def test_an_unknown_lowering_is_refused_with_the_nearest_name():
    with pytest.raises(ConversionError, match="Did you mean 'subpixel'"):
        lower(nn.Sequential(), "sub-pixel")


@pytest.mark.parametrize("name", ["phases", "subpixel"])
def test_in_a_block_of_ours_the_relu_goes_before_the_phases_are_interleaved(name):
    torch.manual_seed(0)
    network = up_bn(4, 4, groups=4).eval()
    nn.init.uniform_(network.bn.running_mean, -0.5, 0.5)
    x = torch.randn(1, 4, 5, 6)
    folded = fold_batchnorm(network, x)
    with torch.no_grad():
        lowered = lower(folded, name)
        torch.testing.assert_close(lowered(x), network(x))
        torch.testing.assert_close(lower(network, name)(x), network(x))  # BN, not folded, still comes before the ReLU
    assert isinstance(lowered.conv.activation, nn.ReLU)
    assert not isinstance(lowered.relu, nn.ReLU)
    assert isinstance(folded.relu, nn.ReLU), "the original keeps its own"


class Between(nn.Module):
    """Adds a skip between the two layers of a Sequential, which it never runs as a whole."""

    def __init__(self):
        super().__init__()
        self.up = nn.Sequential(nn.ConvTranspose2d(4, 4, 2, 2), nn.ReLU())

    def forward(self, x):
        return self.up[1](self.up[0](x) - 0.5)


def again():
    """Return a Sequential that runs one layer twice, the second time between two others."""
    shared = nn.Conv2d(4, 4, 1)
    return nn.Sequential(shared, nn.ConvTranspose2d(4, 4, 2, 2), shared, nn.ReLU())


def deconvolution_again():
    shared = nn.ConvTranspose2d(4, 4, 2, 2)
    return nn.Sequential(shared, shared, nn.ReLU())


class Doubled(nn.ConvTranspose2d):
    def forward(self, x, output_size=None):
        return 2 * super().forward(x, output_size)


def doubled():
    return nn.Sequential(Doubled(4, 4, 2, 2, groups=4), nn.ReLU())


@pytest.mark.parametrize("name", sorted(LOWERINGS))
@pytest.mark.parametrize("make", [Between, again, deconvolution_again, doubled])
def test_a_network_that_is_run_in_its_own_way_computes_the_same(make, name):
    torch.manual_seed(0)
    network = make()
    x = torch.randn(1, 4, 3, 3)
    with torch.no_grad():
        torch.testing.assert_close(lower(network, name)(x), network(x))


def test_a_layer_that_comes_again_is_lowered_both_times():
    assert nn.ConvTranspose2d not in map(type, lower(deconvolution_again(), "phases").modules())


def test_torchscript_adds_the_bias_of_a_depthwise_transposed_convolution_apart_and_no_other():
    torch.manual_seed(0)
    depthwise, dense = nn.ConvTranspose2d(6, 6, 3, 2, 1, 1, groups=6), nn.ConvTranspose2d(6, 6, 2, 2)
    unbiased = nn.ConvTranspose2d(6, 6, 2, 2, groups=6, bias=False)
    network = nn.Sequential(depthwise, dense, depthwise, Doubled(6, 6, 2, 2, groups=6), unbiased)
    x = torch.randn(1, 6, 4, 5)
    with torch.no_grad():
        expected = network(x)
        biases_apart(network)
        torch.testing.assert_close(network(x), expected)
    kept = [nn.ConvTranspose2d, BiasApart, Doubled, nn.ConvTranspose2d]
    assert [type(layer) for layer in network] == [BiasApart, *kept]
