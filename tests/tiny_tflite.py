"""One small network per operator that the TFLite writer knows, and how to run what it writes."""

import numpy as np
import torch
import torch.nn.functional as F
from ai_edge_litert.interpreter import Interpreter
from torch import nn

from segfast_edge.export.tflite_writer.builder import GraphBuilder
from segfast_edge.export.tflite_writer.ops import writers
from segfast_edge.export.tflite_writer.torch_trace import trace
from segfast_edge.export.tflite_writer.translate import Translation
from segfast_edge.model.unpooling import IndexPool, IndexUnpool


class Fn(nn.Module):
    """A function as a network, with any layers it uses."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x):
        return self.function(x, *self.layers)


class Unpooled(nn.Module):
    """Max-pooling and unpooling of rounded values, so that many are equal; unpooled values may be negative."""

    def __init__(self):
        super().__init__()
        self.pool, self.unpool = IndexPool(), IndexUnpool()

    def forward(self, x):
        maxima, places = self.pool(F.relu(x))
        return self.unpool(maxima - 1.5, places)


def unpooled_odd(x):
    maxima, places = F.max_pool2d(x, 2, return_indices=True)
    return torch.ops.aten.max_unpool2d.default(maxima, places, list(x.shape[2:]))


def both_signs(x, conv):
    y = conv(x)
    return torch.cat([y, F.relu(y)], 1)


def settled(norm):
    for statistic, low, high in ((norm.running_mean, -0.5, 0.5), (norm.running_var, 0.5, 1.5)):
        statistic.uniform_(low, high)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.uniform_(norm.bias, -0.5, 0.5)
    return norm


def bilinear(*size, corners=False):
    return Fn(lambda x: F.interpolate(x, size, mode="bilinear", align_corners=corners))


MAP = (1, 6, 9, 11)
EVEN = (1, 4, 8, 12)
FLAT = (1, 8, 1, 1)

CASES = {  # name -> (network, shape of its input)
    "conv_same": (lambda: nn.Conv2d(6, 8, 3, padding=1), MAP),
    "conv_stride2_odd": (lambda: nn.Conv2d(6, 8, 3, 2, 1), MAP),
    "conv_stride2_even": (lambda: nn.Conv2d(4, 8, 3, 2, 1), EVEN),
    "conv_stride4_uneven": (lambda: nn.Conv2d(6, 8, (5, 2), (4, 3), (3, 0), bias=False), MAP),
    "conv_dilated": (lambda: nn.Conv2d(6, 8, 3, padding=2, dilation=2), MAP),
    "conv_dilated_strided": (lambda: nn.Conv2d(6, 8, 3, 2, 3, dilation=(2, 3)), MAP),
    "conv_big_padding": (lambda: nn.Conv2d(6, 8, 3, padding=5), MAP),
    "conv_named_padding": (lambda: nn.Conv2d(6, 8, (3, 5), padding="same"), MAP),
    "conv_grouped": (lambda: nn.Conv2d(6, 9, 3, padding=1, groups=3), MAP),
    "conv_one_channel": (lambda: nn.Conv2d(1, 4, 3, padding=1), (1, 1, 7, 7)),
    "depthwise": (lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6), MAP),
    "depthwise_stride2": (lambda: nn.Conv2d(6, 6, 5, 2, 2, groups=6), MAP),
    "depthwise_dilated": (lambda: nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=6), MAP),
    "depthwise_multiplied": (lambda: nn.Conv2d(6, 18, 3, padding=1, groups=6), MAP),
    "conv_relu": (lambda: nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=True)), MAP),
    "conv_relu6": (lambda: nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU6()), MAP),
    "conv_hardtanh": (lambda: nn.Sequential(nn.Conv2d(6, 8, 3), nn.Hardtanh()), MAP),
    "conv_norm_relu": (lambda: nn.Sequential(nn.Conv2d(6, 8, 1), settled(nn.BatchNorm2d(8)), nn.ReLU()), MAP),
    "relu_shared": (
        lambda: Fn(lambda x, conv: (lambda y: torch.cat([y, F.relu(y)], 1))(conv(x)), nn.Conv2d(6, 4, 1)),
        MAP,
    ),
    "norm_alone": (lambda: settled(nn.BatchNorm2d(6)), MAP),
    "norm_without_weights": (lambda: nn.BatchNorm2d(6, affine=False), MAP),
    "transposed_pointwise": (
        lambda: nn.Sequential(
            nn.ConvTranspose2d(6, 6, 2, 2, groups=6), nn.ReLU(), nn.Conv2d(6, 4, 1), nn.ReLU6(), nn.Conv2d(4, 2, 1)
        ),
        MAP,
    ),
    "transposed_pointwise_cropped": (
        lambda: nn.Sequential(nn.ConvTranspose2d(6, 8, 3, 2, 1, groups=2), nn.Conv2d(8, 4, 1, bias=False)),
        MAP,
    ),
    "linear": (lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5), nn.ReLU()), MAP),
    "squeeze_excite": (
        lambda: Fn(lambda x, conv: x * F.hardsigmoid(conv(F.adaptive_avg_pool2d(x, 1))), nn.Conv2d(6, 6, 1)),
        MAP,
    ),
    "flatten_linear_scale": (
        lambda: Fn(lambda x, fc: x * fc(x.mean((2, 3))).sigmoid().view(1, 6, 1, 1), nn.Linear(6, 6)),
        MAP,
    ),
    "relu": (nn.ReLU, MAP),
    "relu6": (nn.ReLU6, MAP),
    "hardtanh": (lambda: nn.Hardtanh(-0.5, 2.0), MAP),
    "clamp": (lambda: Fn(lambda x: x.clamp(-0.3, 0.7)), MAP),
    "clamp_max": (lambda: Fn(lambda x: x.clamp(max=0.7)), MAP),
    "clamp_min": (lambda: Fn(lambda x: x.clamp(min=0.2)), MAP),
    "sigmoid": (nn.Sigmoid, MAP),
    "tanh": (nn.Tanh, MAP),
    "hardswish": (lambda: nn.Hardswish(inplace=True), MAP),
    "hardsigmoid": (nn.Hardsigmoid, MAP),
    "silu": (nn.SiLU, MAP),
    "leaky_relu": (lambda: nn.LeakyReLU(0.2), MAP),
    "elu": (nn.ELU, MAP),
    "prelu_each": (lambda: nn.PReLU(6, 0.3), MAP),
    "prelu_one": (nn.PReLU, MAP),
    "softmax": (lambda: nn.Softmax(1), MAP),
    "unary": (lambda: Fn(lambda x: -(x.abs() + 1).sqrt() + (0.1 * x).exp()), MAP),
    "arithmetic": (lambda: Fn(lambda x: torch.relu((x + 1) * 2 - x / 4) - (3 - x)), MAP),
    "arithmetic_alpha": (lambda: Fn(lambda x: torch.add(x, 2, alpha=3)), MAP),
    "channel_constant": (lambda: Fn(lambda x: x * torch.arange(6.0).view(6, 1, 1) + torch.ones(1, 6, 1, 1)), MAP),
    "place_constant": (lambda: Fn(lambda x: x + torch.linspace(-1, 1, 99).view(1, 1, 9, 11)), MAP),
    "larger_and_smaller": (lambda: Fn(lambda x: torch.maximum(x, -x) + torch.minimum(x, x * x)), MAP),
    "max_pool": (lambda: nn.MaxPool2d(2), EVEN),
    "max_pool_padded": (lambda: nn.MaxPool2d(3, 2, 1), EVEN),
    "max_pool_padded_relu": (lambda: nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 2, 1)), EVEN),
    "max_pool_ceil": (lambda: nn.MaxPool2d(2, ceil_mode=True), MAP),
    "max_pool_ceil_padded": (lambda: nn.MaxPool2d((3, 2), 2, 1, ceil_mode=True), MAP),
    "avg_pool": (lambda: nn.AvgPool2d(2), EVEN),
    "avg_pool_whole": (lambda: nn.AvgPool2d((9, 11)), MAP),
    "avg_pool_padded": (lambda: nn.AvgPool2d(3, 2, 1), EVEN),
    "avg_pool_padded_same": (lambda: nn.AvgPool2d(3, 1, 1), MAP),
    "avg_pool_inside": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), EVEN),
    "avg_pool_inside_same": (lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False), MAP),
    "avg_pool_ceil": (lambda: nn.AvgPool2d(2, ceil_mode=True), MAP),
    "avg_pool_ceil_padded": (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), EVEN),
    "avg_pool_divisor": (lambda: nn.AvgPool2d(3, 2, divisor_override=4), MAP),
    "adaptive_1": (lambda: nn.AdaptiveAvgPool2d(1), MAP),
    "adaptive_even": (lambda: nn.AdaptiveAvgPool2d((4, 3)), EVEN),
    "adaptive_overlapping": (lambda: nn.AdaptiveAvgPool2d((3, 3)), (1, 4, 7, 7)),
    "adaptive_uneven": (lambda: nn.AdaptiveAvgPool2d((4, 6)), MAP),
    "adaptive_larger": (lambda: nn.AdaptiveAvgPool2d((14, 12)), MAP),
    "mean_kept": (lambda: Fn(lambda x: x - x.mean((2, 3), keepdim=True)), MAP),
    "mean_channels": (lambda: Fn(lambda x: x.mean(1, keepdim=True)), MAP),
    "unpool": (Unpooled, EVEN),
    "unpool_odd": (lambda: Fn(unpooled_odd), MAP),
    "bilinear_up": (lambda: bilinear(18, 22), MAP),
    "bilinear_odd": (lambda: bilinear(25, 40), MAP),
    "bilinear_down": (lambda: bilinear(5, 4), MAP),
    "bilinear_corners": (lambda: bilinear(25, 40, corners=True), MAP),
    "bilinear_from_one": (lambda: bilinear(5, 4), FLAT),
    "bilinear_corners_from_one": (lambda: bilinear(5, 4, corners=True), FLAT),
    "bilinear_factor": (lambda: nn.Upsample(scale_factor=2.0, mode="bilinear"), MAP),
    "bilinear_uneven_factor": (lambda: nn.Upsample(scale_factor=1.7, mode="bilinear"), MAP),
    "bicubic": (lambda: nn.Upsample(size=(20, 15), mode="bicubic"), MAP),
    "nearest": (lambda: nn.Upsample(scale_factor=2), MAP),
    "nearest_odd": (lambda: nn.Upsample(size=(25, 40)), MAP),
    "nearest_uneven_factor": (lambda: nn.Upsample(scale_factor=1.7), MAP),
    "cat_channels": (lambda: Fn(lambda x: torch.cat([x, 2 * x, x[:, :2]], 1)), MAP),
    "cat_rows": (lambda: Fn(lambda x: torch.cat([x, 2 * x], 2)), MAP),
    "slice": (lambda: Fn(lambda x: x[:, 1:4, 2:-1, :7]), MAP),
    "chunk": (lambda: Fn(lambda x: (lambda a, b, c: a * b + c)(*x.chunk(3, 1))), MAP),
    "split_uneven": (lambda: Fn(lambda x: torch.cat(x.split([1, 5], 1)[::-1], 1)), MAP),
    "pad": (lambda: nn.ZeroPad2d((1, 2, 3, 0)), MAP),
    "pad_value": (lambda: nn.ConstantPad2d((1, 2, 3, 0), -1.5), MAP),
    "pad_negative": (lambda: nn.ZeroPad2d((-1, 2, 3, -2)), MAP),
    "dropout": (lambda: nn.Sequential(nn.Dropout2d(), nn.Dropout()), MAP),
    "pixel_shuffle": (lambda: nn.PixelShuffle(2), (1, 12, 5, 4)),
    "pixel_shuffle_conv": (lambda: nn.Sequential(nn.Conv2d(6, 18, 3, padding=1), nn.PixelShuffle(3)), MAP),
    "pixel_shuffle_conv_relu": (lambda: nn.Sequential(nn.Conv2d(6, 8, 1), nn.ReLU(), nn.PixelShuffle(2)), MAP),
    "pixel_shuffle_depthwise": (lambda: nn.Sequential(nn.Conv2d(6, 24, 1, groups=6), nn.PixelShuffle(2)), MAP),
    "pixel_shuffle_tanh": (lambda: nn.Sequential(nn.Conv2d(6, 8, 1), nn.Tanh(), nn.PixelShuffle(2)), MAP),
    "pixel_unshuffle": (lambda: nn.PixelUnshuffle(2), EVEN),
    "channel_shuffle": (lambda: nn.ChannelShuffle(2), MAP),
}


def build(name):
    """Return a case's network in eval mode, its input in torch's order, and what torch makes of it."""
    torch.manual_seed(0)
    make, shape = CASES[name]
    network = make().eval().requires_grad_(False)
    x = torch.randn(shape) * 2
    if name.startswith("unpool"):
        x = x.round()
    with torch.no_grad():
        return network, x, network(x.clone())  # a network may write into its input


def stepped(x, step):
    """Return a file for what ``step(graph, x)`` adds to an empty graph: float32 NHWC in and out."""
    graph = GraphBuilder("test")
    incoming = graph.input("x", nhwc(x.numpy()).shape, np.float32)
    graph.output("y", step(graph, incoming))
    return bytes(graph.serialise())


def written(network, x, lowering="phases"):
    """Return a file for a bare network: float32 NHWC in and out."""
    traced = trace(network, x)
    return stepped(x, lambda graph, incoming: Translation(graph, traced, lowering).run(writers(), incoming))


def interpreter(content):
    """Open a file, XNNPACK as it is by default."""
    opened = Interpreter(model_content=content, num_threads=1)
    opened.allocate_tensors()
    return opened


def ran(content, batch):
    """Run a file once."""
    opened = interpreter(content)
    opened.set_tensor(opened.get_input_details()[0]["index"], batch)
    opened.invoke()
    return opened.get_tensor(opened.get_output_details()[0]["index"])


def operators(content):
    """Return the names of a file's operators in order, the delegate's own left out."""
    return [each["op_name"] for each in interpreter(content)._get_ops_details() if each["op_name"] != "DELEGATE"]


def pieces(content):
    """Return into how many runs of operators XNNPACK's delegate cut a file."""
    return sum(each["op_name"] == "DELEGATE" for each in interpreter(content)._get_ops_details())


def nhwc(array):
    """Turn a map from torch's order; anything else is as it was."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if array.ndim == 4 else array
