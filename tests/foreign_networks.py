"""Networks as a user would bring them, by ``foreign_networks:dictionary`` and so on."""

import functools
import warnings
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn
from torch.ao.quantization import DeQuantStub, QuantStub
from torch.nn.utils import parametrize, prune

from segfast_edge.model.torchvision_shim import import_torchvision


def dictionary(classes):
    """torchvision's own, which gives a dictionary."""
    segmentation = import_torchvision("torchvision.models.segmentation")
    return segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=classes)


class _Summed(nn.Module):
    def forward(self, x):
        return x.cumsum(3)


def summed(classes):
    return nn.Sequential(nn.Conv2d(3, classes, 1), _Summed())


def scaled(classes):
    """A network with weights of its own, told apart from any other by its bias."""
    layer = nn.Conv2d(3, classes, 3, padding=1)
    nn.init.constant_(layer.weight, 0.01)
    nn.init.constant_(layer.bias, 0.0)
    with torch.no_grad():
        layer.bias[2] = 9.0
    return layer


def settled(network):
    """Give every normalisation statistics and scales of its own, as training leaves them; in evaluation mode."""
    chance = torch.Generator().manual_seed(7)
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_mean is not None:
            for values, low, high in ((layer.running_mean, -0.4, 0.4), (layer.running_var, 0.4, 1.6)):
                values.copy_(low + (high - low) * torch.rand(values.shape, generator=chance))
            for values, low, high in ((layer.weight, 0.4, 1.4), (layer.bias, -0.3, 0.3)):
                values.data.copy_(low + (high - low) * torch.rand(values.shape, generator=chance))
    network.eval()
    return network


def foreign(make):
    """Make a factory that gives the same settled network in every process."""

    @functools.wraps(make)
    def factory(classes):
        torch.manual_seed(11)
        network = settled(make(classes))
        heads = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.out_channels == classes]
        head = getattr(network, "head", heads[-1])
        if head.bias is not None:  # no class wins everywhere
            with torch.no_grad():
                head.bias -= network(torch.randn(1, 3, 40, 56)).mean((0, 2, 3))
        return network

    FOREIGN.append(make.__name__)
    return factory


FOREIGN = []  # what converts, by name


class _Activated(nn.BatchNorm2d):
    def forward(self, x):
        return F.leaky_relu(super().forward(x), 0.1)


@foreign
def norm_with_activation(classes):
    return nn.Sequential(
        nn.Conv2d(3, 10, 3, padding=1, bias=False), _Activated(10), nn.Conv2d(10, 10, 3, padding=1), _Activated(10),
        nn.Conv2d(10, classes, 1),
    )  # fmt: skip


class _Standardised(nn.Conv2d):
    def forward(self, x):
        spread = self.weight.std((1, 2, 3), keepdim=True) + 1e-5
        weight = (self.weight - self.weight.mean((1, 2, 3), keepdim=True)) / spread
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


@foreign
def weight_standardised(classes):
    return nn.Sequential(
        _Standardised(3, 10, 3, padding=1, bias=False), nn.BatchNorm2d(10), nn.ReLU(), nn.Conv2d(10, classes, 1)
    )


def _around(conv, classes):
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(), nn.Conv2d(conv.out_channels, classes, 1))


def _old(normalise, conv):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return normalise(conv)


@foreign
def weight_norm_old(classes):
    return _around(_old(nn.utils.weight_norm, nn.Conv2d(3, 10, 3, padding=1)), classes)


@foreign
def weight_norm_new(classes):
    return _around(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 10, 3, padding=1)), classes)


@foreign
def spectral_norm_old(classes):
    return _around(_old(nn.utils.spectral_norm, nn.Conv2d(3, 10, 3, padding=1, bias=False)), classes)


@foreign
def spectral_norm_new(classes):
    return _around(nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 10, 3, padding=1, bias=False)), classes)


class _Positive(nn.Module):
    def forward(self, weight):
        return F.softplus(weight) - 0.3


@foreign
def parametrized_twice(classes):
    """Weights and scales computed in every call, and one conv whose original another conv shares."""
    first, second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
    third = nn.Conv2d(6, 6, 3, padding=1)
    third.weight = second.weight
    for layer in (first, second):
        parametrize.register_parametrization(layer, "weight", _Positive())
    parametrize.register_parametrization(second, "weight", _Halved())
    norm = parametrize.register_parametrization(nn.BatchNorm2d(6), "bias", _Positive())
    network = nn.Sequential(first, nn.BatchNorm2d(6), nn.ReLU(), second, nn.Tanh(), third, nn.ReLU())
    return nn.Sequential(settled(network), norm, nn.Conv2d(6, classes, 1))


class _Halved(nn.Module):
    def forward(self, weight):
        return weight / 2


@foreign
def pruned(classes):
    conv = nn.Conv2d(3, 10, 3, padding=1)
    prune.l1_unstructured(conv, "weight", 0.4)
    return _around(conv, classes)


class _SamePadded(nn.Conv2d):
    def forward(self, x):
        return super().forward(F.pad(x, (1, 2, 0, 2), value=0.5))


@foreign
def conv_that_pads(classes):
    return _around(_SamePadded(3, 10, (3, 4), bias=False), classes)


class _Stubbed(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.quant, self.inner, self.dequant = QuantStub(), inner, DeQuantStub()

    def forward(self, x):
        return self.dequant(self.inner(self.quant(x)))


@foreign
def quant_stubs(classes):
    return _Stubbed(_around(nn.Conv2d(3, 10, 3, padding=1), classes))


class _Tied(nn.Module):
    """One weight in two layers, and again in the network's own forward; one norm's scale in another place."""

    def __init__(self, classes):
        super().__init__()
        self.into, self.norm = nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8)
        self.first, self.first_norm = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.second, self.second_norm = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.second.weight = self.first.weight
        self.reused, self.reused_norm = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, x):
        x = F.relu(self.norm(self.into(x)))
        x = F.relu(self.first_norm(self.first(x)))
        x = F.relu(self.second_norm(self.second(x)))
        y = self.reused_norm(self.reused(x))
        return self.head(y + F.conv2d(x, self.reused.weight))


@foreign
def tied_weights(classes):
    return _Tied(classes)


class _Buffered(nn.Module):
    """Reads its norm's statistics itself, and a constant that is no part of the state dict."""

    def __init__(self, classes):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, classes, 1)
        self.register_buffer("mask", torch.rand(8, 1, 1) > 0.3)
        self.unsaved = torch.rand(1, 8, 1, 1)

    def forward(self, x):
        y = self.norm(self.conv(x)) * self.mask
        return self.head(F.relu(y + self.norm.running_mean[:, None, None]) * self.unsaved)


@foreign
def buffers_in_forward(classes):
    return _Buffered(classes)


class _Moody(nn.Module):
    """Drops in training, takes another way in training, and has a train() that returns nothing."""

    def __init__(self, classes):
        super().__init__()
        self.body, self.head = _around(nn.Conv2d(3, 8, 3, padding=1), 8), nn.Conv2d(8, classes, 1)
        self.aux = nn.Conv2d(8, classes, 1)

    def train(self, mode=True):
        super().train(mode)

    def forward(self, x):
        y = F.dropout(self.body(x), 0.4, training=self.training)
        return (self.head(y), self.aux(y)) if self.training else self.head(y) - 0.1 * self.aux(y)


@foreign
def train_and_eval_differ(classes):
    return _Moody(classes)


@foreign
def hooked(classes):
    """Hooks that change a convolution's output, a norm's input and a transposed convolution's output."""
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 8, 2, 2, groups=8), nn.ReLU(), nn.Conv2d(8, classes, 1),
    )  # fmt: skip
    network[0].register_forward_hook(lambda *called: called[2] * 0.5 + 0.1)
    network[4].register_forward_pre_hook(lambda _, inputs: (inputs[0].clamp(-0.5, 0.5),))
    network[6].register_forward_hook(lambda *called: -called[2])
    return network


@foreign
def overridden_on_the_instance(classes):
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 8, 2, 2, groups=8), nn.ReLU(),
        nn.Conv2d(8, classes, 1),
    )  # fmt: skip
    norm, up = network[1], network[3]
    norm.forward = lambda x: F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias).abs()
    up.forward = lambda x: 1 - F.conv_transpose2d(x, up.weight, None, 2, 0, 0, 8)
    return network


class _Doubling(nn.ConvTranspose2d):
    def forward(self, x, output_size=None):
        return 2 * super().forward(x.abs(), output_size)


@foreign
def subclasses_of_what_is_rewritten(classes):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), _Doubling(8, 8, 2, 2, groups=8, bias=False),
        nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, classes, 1),
    )  # fmt: skip


class _Resizing(nn.Module):
    """Pools, and resizes to whatever size its input and its skip have."""

    def __init__(self, classes):
        super().__init__()
        self.down, self.norm = nn.Conv2d(3, 8, 5, 3, 1), nn.BatchNorm2d(8)
        self.low, self.head = nn.Conv2d(8, 8, 3, 2, 1), nn.Conv2d(16, classes, 1)

    def forward(self, x):
        y = F.relu(self.norm(input=self.down(x)))
        z = F.interpolate(self.low(y), size=y.shape[-2:], mode="bilinear", align_corners=True)
        return F.interpolate(self.head(torch.cat([y, z], 1)), size=x.shape[-2:], mode="nearest")


@foreign
def resizes_to_its_input(classes):
    return _Resizing(classes)


class _Counting(nn.Module):
    """Counts its calls, which changes nothing that it gives."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.frames = 0

    def forward(self, x):
        self.calls += 1
        self.frames += 1
        return x


@foreign
def counts_its_calls(classes):
    return nn.Sequential(_around(nn.Conv2d(3, 8, 3, padding=1), classes), _Counting())


@foreign
def skips_over_the_norm(classes):
    """The convolution's own output is read by the norm and, when it has been, by the sum."""
    return _Skipping(classes)


class _Skipping(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, classes, 1)

    def forward(self, x):
        y = self.conv(x)
        return self.head(self.norm(y).relu() + y)


class _Several(nn.Module):
    """Three normalisations to fold, and two transposed convolutions."""

    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.middle = nn.Sequential(nn.Conv2d(8, 8, 5, 2, 2, groups=4, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.first = nn.ConvTranspose2d(8, 8, 2, 2)
        self.up = nn.ConvTranspose2d(8, 8, 2, 2, groups=8)
        self.head = nn.Conv2d(8, classes, 1, bias=False)
        for layer in (self.stem[0], self.middle[0], self.first, self.up, self.head):
            nn.init.normal_(layer.weight, 0, 0.7)

    def forward(self, x):
        return self.head(self.up(self.first(self.middle(self.stem(x)))))


@foreign
def several_folds(classes):
    return _Several(classes)


class _Words(nn.Module):
    """A stem with group normalisation, two transformer blocks over windows as words, and a skip."""

    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 4, 4), nn.GroupNorm(4, 16), nn.SiLU())
        self.place = nn.Parameter(torch.randn(1, 140, 16) * 0.1)
        blocks = [nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, activation=name) for name in ("gelu", "relu")]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Conv2d(32, classes, 1)

    def forward(self, x):
        y = self.stem(x)
        words = self.blocks(y.flatten(2).transpose(1, 2) + self.place)
        both = torch.cat([y, words.transpose(1, 2).reshape(y.shape)], 1)
        return F.interpolate(self.head(both), scale_factor=4.0, mode="bilinear")


@foreign
def words(classes):
    return _Words(classes)


@foreign
def uneven_channels(classes):
    """Channels whose sizes differ ten-thousandfold, which one int8 range per tensor cannot hold."""
    first, second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, classes, 1)
    with torch.no_grad():
        factor = torch.logspace(-2, 2, 8)
        first.weight *= factor[:, None, None, None]
        first.bias *= factor
        second.weight /= factor[None, :, None, None]
    return nn.Sequential(first, nn.LeakyReLU(0.5), second)


class _Outputs(nn.Module):
    """Two heads on a map of a third of the size; ``pack`` makes the output of them, in the network's own size."""

    def __init__(self, classes, pack, enlarge=True):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 3, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.first, self.second = nn.Conv2d(8, classes, 1), nn.Conv2d(8, classes, 1)
        self.pack, self.enlarge = pack, enlarge
        for layer in (self.stem[0], self.first, self.second):
            nn.init.normal_(layer.weight, 0, 0.7)

    def forward(self, x):
        y = self.stem(x)
        maps = [self.first(y), self.second(y)]
        if self.enlarge:
            maps = [F.interpolate(each, x.shape[2:], mode="bilinear") for each in maps]
        return self.pack(*maps)


OUTPUTS = {  # name -> (how two maps are packed, whether they have the picture's size)
    "named": (lambda first, second: {"aux": first, "out": second}, True),
    "as_transformers": (lambda first, second: OrderedDict(loss=None, logits=second, hidden=(first,)), False),
    "otherwise_named": (lambda first, second: {"main": first, "side": second}, True),
    "tuple_of_two": (lambda first, second: (first, second), True),
    "list_of_more": (lambda first, second: [first.mean(), first[:, :2], second], False),
    "small": (lambda first, _: first, False),
    "one_logit": (lambda first, _: first[:, :1], False),
    "channels_last": (lambda first, _: first.permute(0, 2, 3, 1), True),
    "picture_level": (lambda first, _: first.mean((2, 3)), True),
    "larger": (lambda first, _: F.interpolate(first, scale_factor=2.0), True),
}


def __getattr__(name):
    if name not in OUTPUTS:
        raise AttributeError(name)
    pack, enlarge = OUTPUTS[name]

    def factory(classes):
        torch.manual_seed(5)
        return settled(_Outputs(classes, pack, enlarge))

    return factory


class _Logarithm(nn.Module):
    def forward(self, x):
        return x.relu().log()


def infinite(classes):
    """Minus infinity wherever a value is negative."""
    return nn.Sequential(nn.Conv2d(3, classes, 1), _Logarithm())


def five(_):
    """Five classes, whatever is asked for, in a dictionary."""
    torch.manual_seed(5)
    return settled(_Outputs(5, OUTPUTS["named"][0]))


DRAWN = []  # every module that ``drawn_anew`` has given


def drawn_anew(classes):
    """Other weights in every call, some of them nothing that a state dict holds."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), _Unsaved(), nn.Conv2d(8, classes, 1))
    network.eval()
    DRAWN.append(network)
    return network


class _Unsaved(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.randn(1, 8, 1, 1)

    def forward(self, x):
        return x * self.scale


class _Drifting(_Counting):
    def forward(self, x):
        return super().forward(x) * (1 + 0.1 * self.calls)


def drifting(classes):
    """Changes with every call."""
    return nn.Sequential(nn.Conv2d(3, classes, 1), _Drifting())


class _Dropping(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5)


def dropping(classes):
    """Drops at random, in evaluation mode too."""
    return nn.Sequential(nn.Conv2d(3, classes, 1), _Dropping())


class _Deciding(nn.Module):
    def forward(self, x):
        return x if x.mean() > 0 else -x


def deciding(classes):
    """Goes one of two ways by what it sees."""
    return nn.Sequential(nn.Conv2d(3, classes, 1), _Deciding())


class _Wrong(nn.Module):
    def forward(self, x):
        return x @ torch.ones(7, 7)


def failing(classes):
    """Cannot take a picture of most sizes."""
    return nn.Sequential(nn.Conv2d(3, classes, 1), nn.Sequential(_Wrong()))
