"""Every operator that the TFLite writer knows computes what torch computes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tiny_tflite import CASES, Fn, Unpooled, build, nhwc, operators, ran, stepped, written
from torch import nn

from segfast_edge.errors import ConversionError
from segfast_edge.export.tflite_writer.transposed import LOWERINGS, Finish, lowering
from segfast_edge.export.tflite_writer.weighted import Kernel, convolve
from segfast_edge.export.tflite_writer.window import Window

TOLERANCE = {"atol": 1e-4, "rtol": 1e-5}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_what_torch_does(name):
    network, x, expected = build(name)
    content = written(network, x)
    np.testing.assert_allclose(ran(content, nhwc(x.numpy())), nhwc(expected.numpy()), **TOLERANCE)
    assert ("TRANSPOSE" in operators(content)) == (name in MOVED), "elements are moved only where they must be"


MOVED = {  # cases in which channels and places change sides
    *("attention_heads", "attention_masked", "transformer", "matrices", "matrix_fixed", "linear_columns"),
    *("layer_norm_columns", "layer_norm_maps", "rms_norm", "softmax_columns", "softmax_rows", "permuted"),
    *("mask_added", "viewed_apart", "viewed_flat", "viewed_places", "shuffled_by_hand", "windows", "stacked"),
}
pairs = st.tuples


def accepted(layer, x):
    """Return what torch gives, or give up on an example that torch itself refuses."""
    try:
        expected = layer(x)
    except RuntimeError:
        assume(False)
    assume(expected.numel() > 0)
    return expected


@st.composite
def transposed(draw):
    groups = draw(st.integers(1, 4))
    stride = draw(st.one_of(st.integers(1, 4).map(lambda s: (s, s)), pairs(st.integers(1, 3), st.integers(1, 3))))
    kernel = draw(pairs(st.integers(1, 6), st.integers(1, 6)))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (3, 2)]))
    padding = draw(pairs(*(st.integers(0, side) for side in kernel)))
    extra = draw(pairs(*(st.integers(0, max(pair) - 1) for pair in zip(stride, dilation, strict=True))))
    channels = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    layer = nn.ConvTranspose2d(
        *channels, kernel, stride, padding, extra, groups=groups, bias=draw(st.booleans()), dilation=dilation
    )
    return layer.requires_grad_(False)


@pytest.mark.parametrize("name", sorted(LOWERINGS))
@settings(max_examples=40, deadline=None)
@given(
    layer=transposed(), size=pairs(st.integers(1, 6), st.integers(1, 6)), relu=st.booleans(), seed=st.integers(0, 99)
)
def test_every_lowering_of_a_transposed_convolution_computes_what_torch_does(name, layer, size, relu, seed):
    torch.manual_seed(seed)
    nn.init.normal_(layer.weight)
    x = torch.randn(1, layer.in_channels, *size)
    expected = accepted(layer, x)
    bias = np.zeros(layer.out_channels, np.float32) if layer.bias is None else layer.bias.numpy()
    finish = Finish(bias, "RELU" if relu else "NONE")
    content = stepped(x, lambda graph, incoming: lowering(name, layer)(graph, incoming, layer, finish))
    expected = expected.relu() if relu else expected
    np.testing.assert_allclose(ran(content, nhwc(x.numpy())), nhwc(expected.numpy()), **TOLERANCE)


@settings(max_examples=80, deadline=None)
@given(
    geometry=st.tuples(*[pairs(st.integers(1, most), st.integers(1, most)) for most in (5, 4, 3)]),
    padding=pairs(st.integers(0, 6), st.integers(0, 6)),
    groups=st.sampled_from([1, 1, 2, 4]),
    size=pairs(st.integers(1, 13), st.integers(1, 13)),
)
def test_any_convolution_computes_what_torch_does(geometry, padding, groups, size):
    kernel, stride, dilation = geometry
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups).requires_grad_(False)
    x = torch.randn(1, 4, *size)
    expected = accepted(layer, x)
    weights = Kernel(layer.weight.numpy(), layer.bias.numpy(), groups)
    window = Window(kernel, stride, dilation, padding, tuple(expected.shape[2:]))
    content = stepped(x, lambda graph, incoming: convolve(graph, incoming, weights, window))
    np.testing.assert_allclose(ran(content, nhwc(x.numpy())), nhwc(expected.numpy()), **TOLERANCE)


@settings(max_examples=12, deadline=None)
@given(
    kernel=pairs(st.integers(1, 5), st.integers(1, 5)),
    stride=pairs(st.integers(1, 4), st.integers(1, 4)),
    size=pairs(st.integers(1, 11), st.integers(1, 11)),
    ceil=st.booleans(),
    padded=st.booleans(),
    inside=st.booleans(),
    kind=st.sampled_from(["max", "average"]),
)
def test_any_pooling_computes_what_torch_does(kernel, stride, size, ceil, padded, inside, kind):
    padding = tuple(side // 2 if padded else 0 for side in kernel)
    if kind == "max":
        network = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)
    else:
        network = nn.AvgPool2d(kernel, stride, padding, ceil, count_include_pad=not inside)
    torch.manual_seed(0)
    x = torch.randn(1, 3, *size) - 1
    expected = accepted(network, x)
    np.testing.assert_allclose(ran(written(network, x), nhwc(x.numpy())), nhwc(expected.numpy()), **TOLERANCE)


def test_unpooling_puts_equal_values_where_torch_puts_them():
    network, x = Unpooled().eval(), torch.zeros(1, 2, 4, 4)
    x[0, 0, 1, 1] = x[0, 0, 0, 1] = 3.0
    y = ran(written(network, x), nhwc(x.numpy()))
    assert np.array_equal(y, nhwc(network(x).numpy()))
    assert np.count_nonzero(y) == 8


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU()), ["CONV_2D"]),
        (nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU6()), ["CONV_2D"]),  # 9x11: SAME stands for it
        (nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.ReLU()), ["DEPTHWISE_CONV_2D"]),
        (nn.Sequential(nn.Conv2d(6, 8, 1), nn.PixelShuffle(2)), ["CONV_2D", "DEPTH_TO_SPACE"]),
        (Fn(lambda x: torch.relu(x + 1)), ["ADD"]),
        (nn.Sequential(nn.Dropout(), nn.AvgPool2d(3)), ["AVERAGE_POOL_2D"]),
        (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)), ["RELU", "MAX_POOL_2D"]),
    ],
)
def test_nothing_is_written_that_another_operator_does_already(network, expected):
    assert operators(written(network.eval().requires_grad_(False), torch.randn(1, 6, 9, 11))) == expected


def test_a_pointwise_convolution_is_done_before_phases_are_interleaved_and_not_after():
    network, x, _ = build("transposed_pointwise")
    found = operators(written(network, x))
    assert found == [*["DEPTHWISE_CONV_2D", "CONV_2D"] * 4, "CONCATENATION", "DEPTH_TO_SPACE", "CONV_2D"]


def test_a_padded_maximum_of_positive_values_pads_with_zeros_which_xnnpack_takes():
    x = torch.randn(1, 4, 8, 8)
    assert "PAD" in operators(written(nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 2, 1)), x))
    assert "PADV2" in operators(written(nn.MaxPool2d(3, 2, 1), x))


REFUSED = {
    "linalg": (lambda x: x * torch.linalg.det(x[:, :1, :9, :9]).mean(), "is not covered"),
    "vectors": (lambda x: x * torch.dot(x.flatten(), x.flatten()), "dot is not covered"),
    "where_the_largest_are": (lambda x: x.max(1, keepdim=True)[1] * x, "also returns indices"),
    "dilated_pool": (lambda x: F.max_pool2d(x, 2, dilation=2), "dilation"),
    "large_unpool": (lambda x: F.max_unpool2d(*F.max_pool2d(x, 3, return_indices=True), 3, 3, 0, (9, 11)), "2x2"),
    "places": (lambda x: F.max_pool2d(x, 2, return_indices=True)[1].float(), "indices"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_written_is_refused_by_operator_and_layer(name):
    function, reason = REFUSED[name]
    network = nn.Sequential(nn.Conv2d(6, 6, 1), Fn(function)).eval().requires_grad_(False)
    with pytest.raises(ConversionError, match=reason) as refusal:
        written(network, torch.randn(1, 6, 9, 11))
    assert "layer '1'" in str(refusal.value)
    assert "--target" in str(refusal.value)


def test_weights_that_are_not_numbers_are_refused_by_name():
    network = nn.Sequential(nn.Conv2d(6, 6, 1)).eval().requires_grad_(False)
    network[0].weight[0, 0] = float("nan")
    with pytest.raises(ConversionError, match="0_weight' holds NaN"):
        written(network, torch.randn(1, 6, 9, 11))
