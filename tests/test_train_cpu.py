import copy

import pytest
import torch
from torch import nn

from segfast_edge.model import build
from segfast_edge.training.cpu_gradients import with_fast_depthwise, with_fast_upsampling
from segfast_edge.training.execution import Execution

LAST = torch.channels_last


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
@pytest.mark.parametrize("name", ["segfast", "segfast_fast"])
def test_fast_upsampling_changes_no_bit_of_a_step(name, precision):
    torch.manual_seed(0)
    plain = build(name, 3).train().to(memory_format=LAST)
    fast = with_fast_upsampling(copy.deepcopy(plain))
    changed = [layer for layer in fast.modules() if type(layer).__name__ == "_ScaledCopies"]
    assert len(changed) == 3
    images = torch.randn(2, 3, 32, 48).contiguous(memory_format=LAST)
    for network in (plain, fast):
        with Execution(torch.device("cpu"), precision).autocast():
            network(images).float().square().mean().backward()
    assert plain.state_dict().keys() == fast.state_dict().keys()
    for (key, one), other in zip(plain.named_parameters(), fast.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad), key


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 4, 3, 2, padding=1, groups=4, bias=False),
        nn.ConvTranspose2d(4, 4, 2, 2, groups=2, bias=False),
        nn.ConvTranspose2d(4, 8, 2, 2, groups=4, bias=False),
        nn.ConvTranspose2d(4, 4, 2, 2, groups=4),
        nn.ConvTranspose2d(4, 4, 2, 2, output_padding=1, groups=4, bias=False),
        nn.ConvTranspose2d(4, 4, 2, 2, dilation=3, groups=4, bias=False),
    ],
)
def test_a_layer_that_computes_more_is_left_alone(layer):
    assert type(with_fast_upsampling(layer)) is nn.ConvTranspose2d


def test_a_layer_with_unequal_sides_and_odd_maps_computes_the_same_in_either_storage_order():
    layer = nn.ConvTranspose2d(5, 5, (3, 2), (3, 2), groups=5, bias=False)
    fast = with_fast_upsampling(copy.deepcopy(layer))
    for order in (torch.contiguous_format, LAST):
        images = torch.randn(2, 5, 3, 7).contiguous(memory_format=order)
        torch.testing.assert_close(fast(images), layer(images), rtol=0, atol=0)
        assert fast(images).is_contiguous(memory_format=order)
    torch.testing.assert_close(fast(images[0]), layer(images[0]), rtol=0, atol=0)  # without a batch
    with pytest.raises(RuntimeError, match="type"):
        fast(images.bfloat16())
    fast.weight.requires_grad_(False)
    fast(images.requires_grad_()).sum().backward()
    assert images.grad is not None
    with torch.no_grad():
        assert fast(images.detach(), output_size=[9, 14]).shape == (2, 5, 9, 14)


@pytest.mark.parametrize("size", [(12, 16), (11, 15)], ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
def test_fast_depthwise_gradients_are_those_of_float32_up_to_bfloat16(kernel, stride, size):
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=8, bias=False)
    images = torch.randn(2, 8, *size).contiguous(memory_format=LAST)
    weight = torch.randn_like(layer(images))
    found = []
    for one, autocast in ((layer, False), (with_fast_depthwise(copy.deepcopy(layer)), True)):
        x = images.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            (one(x).float() * weight).sum().backward()
        found.append((x.grad, one.weight.grad))
    assert type(one).__name__ == "_DepthwiseConv2d"
    for exact, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast, exact, rtol=0.02, atol=0.02 * exact.abs().max().item())


def test_depthwise_layers_of_another_form_are_left_alone_and_float32_keeps_its_bits():
    for other in (
        nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding=0, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect", groups=4, bias=False),
    ):
        assert type(with_fast_depthwise(other)) is nn.Conv2d
    layer, images = nn.Conv2d(4, 4, 5, padding=2, groups=4, bias=False), torch.randn(1, 4, 9, 9)
    assert torch.equal(with_fast_depthwise(copy.deepcopy(layer))(images), layer(images))
