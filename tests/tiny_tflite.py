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


def weighted_norm(norm):
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.uniform_(norm.bias, -0.5, 0.5)
    return norm


def channels_last(x, norm, fc):
    """As ConvNeXt has it: normalisation and layers over the channels of each place."""
    return F.gelu(fc(norm(x.permute(0, 2, 3, 1)))).permute(0, 3, 1, 2)


def attention(x, fc):
    tokens = x.flatten(2).transpose(1, 2)
    query, key, value = fc(tokens).chunk(3, -1)
    return (tokens + F.scaled_dot_product_attention(query, key, value)).transpose(1, 2).reshape(x.shape)


def heads(x, layer):
    tokens = x.flatten(2).mT
    return layer(tokens, tokens, tokens, need_weights=False)[0].mT.reshape(x.shape)


def masked_attention(x):
    mask = torch.zeros(9, 9).masked_fill(torch.ones(9, 9).tril().T.bool(), -torch.inf).fill_diagonal_(0)
    causal = F.scaled_dot_product_attention(x, x, x, is_causal=True, scale=0.3)
    return causal + F.scaled_dot_product_attention(x, x, x, attn_mask=mask)


def windows(x):
    """As Swin has it: windows of 4x4, something done in each, and back."""
    n, c, h, w = x.shape
    apart = x.view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, c)
    mixed = apart.softmax(1) * apart
    return mixed.view(n, h // 4, w // 4, 4, 4, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)


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
    "gelu": (nn.GELU, MAP),
    "gelu_tanh": (lambda: nn.GELU(approximate="tanh"), MAP),
    "mish": (lambda: Fn(lambda x: F.mish(30 * x)), MAP),
    "softplus": (lambda: Fn(lambda x: F.softplus(40 * x) + F.softplus(x, beta=2.0)), MAP),
    "log_sigmoid": (lambda: Fn(lambda x: F.logsigmoid(30 * x)), MAP),
    "selu": (nn.SELU, MAP),
    "celu": (lambda: nn.CELU(0.7), MAP),
    "elu_alpha": (lambda: nn.ELU(0.4), MAP),
    "softsign": (nn.Softsign, MAP),
    "glu": (lambda: nn.GLU(1), MAP),
    "group_norm": (lambda: weighted_norm(nn.GroupNorm(3, 6)), MAP),
    "instance_norm": (lambda: weighted_norm(nn.InstanceNorm2d(6, affine=True)), MAP),
    "instance_norm_plain": (lambda: nn.InstanceNorm2d(6), MAP),
    "instance_norm_running": (lambda: nn.InstanceNorm2d(6, track_running_stats=True), MAP),
    "layer_norm_columns": (lambda: weighted_norm(nn.LayerNorm(11)), MAP),
    "layer_norm_maps": (lambda: weighted_norm(nn.LayerNorm((6, 9, 11))), MAP),
    "layer_norm_channels": (lambda: Fn(channels_last, weighted_norm(nn.LayerNorm(6)), nn.Linear(6, 8)), MAP),
    "rms_norm": (lambda: nn.RMSNorm(11), MAP),
    "log_softmax": (lambda: nn.LogSoftmax(1), MAP),
    "softmax_columns": (lambda: nn.Softmax(3), MAP),
    "softmax_rows": (lambda: nn.Softmax(2), MAP),
    "powers": (lambda: Fn(lambda x: x**2 - x.abs() ** 0.5 + (x.abs() + 1) ** -1.5 + (x * x + 1).rsqrt()), MAP),
    "logarithm": (lambda: Fn(lambda x: (x.abs() + 1).log() + (x.abs() + 1).reciprocal() + x.square()), MAP),
    "sums": (
        lambda: Fn(lambda x: x.sum((2, 3), keepdim=True) + x.amax(1, keepdim=True) - x.amin(2, keepdim=True)),
        MAP,
    ),
    "spreads": (lambda: Fn(lambda x: x.std((2, 3), keepdim=True) * x.var(1, keepdim=True, correction=0)), MAP),
    "largest_of": (lambda: Fn(lambda x: x.max(1, keepdim=True)[0] * x.min(3, keepdim=True).values), MAP),
    "strips": (lambda: Fn(lambda x: x * x.mean(3)[..., None] + x.amax(2)[:, :, None] + x.mean(1).unsqueeze(1)), MAP),
    "strip_pooling": (
        lambda: Fn(lambda x: F.adaptive_avg_pool2d(x, (None, 1)) + F.adaptive_max_pool2d(x, (1, 11))),
        MAP,
    ),
    "normalised_vectors": (lambda: Fn(lambda x: F.normalize(x, dim=1) + F.normalize(x, p=1.0, dim=2)), MAP),
    "permuted": (lambda: Fn(lambda x: x.permute(0, 3, 1, 2).transpose(2, 3)), MAP),
    "viewed_apart": (lambda: Fn(lambda x: x.reshape(1, 3, 2, 9, 11).transpose(1, 2).reshape(1, 6, 9, 11)), MAP),
    "viewed_flat": (lambda: Fn(lambda x: x.reshape(1, -1)[:, 5:].reshape(1, 19, 31).unsqueeze(1)), MAP),
    "viewed_places": (lambda: Fn(lambda x: x.flatten(2)[..., :96].unflatten(2, (8, 12))), MAP),
    "tokens": (lambda: Fn(lambda x: (x.flatten(2).transpose(1, 2) * 2).transpose(1, 2).view(1, 6, 9, 11)), MAP),
    "windows": (lambda: Fn(windows), EVEN),
    "shuffled_by_hand": (
        lambda: Fn(lambda x: x.view(1, 2, 2, 2, 4, 6).permute(0, 1, 4, 2, 5, 3).reshape(1, 2, 8, 12)),
        (1, 8, 4, 6),
    ),
    "expanded": (
        lambda: Fn(lambda x: x.mean(2, keepdim=True).expand(1, 6, 4, 11) + x[:, :, :1].repeat(1, 1, 4, 1)),
        MAP,
    ),
    "stacked": (lambda: Fn(lambda x: torch.stack([x[:, 0], x[:, -1], x[0, 2:3]], 1)), MAP),
    "unbound": (lambda: Fn(lambda x: torch.stack(x.unbind(3)[::2], 3)), MAP),
    "flipped": (lambda: Fn(lambda x: x.flip((1, 3)) + x.roll((1, -2), (2, 3))), MAP),
    "every_second": (lambda: Fn(lambda x: x[:, ::2, 1::3, ::2]), MAP),
    "places_chosen": (lambda: Fn(lambda x: x.index_select(1, torch.tensor([4, 0, 0]))), MAP),
    "pad_reflect": (lambda: nn.ReflectionPad2d((1, 2, 3, 0)), MAP),
    "pad_replicate": (lambda: nn.ReplicationPad2d((1, 2, 3, 0)), MAP),
    "pad_circular": (lambda: nn.CircularPad2d((1, 2, 3, 0)), MAP),
    "conv_reflect": (lambda: nn.Conv2d(6, 8, 3, padding=1, padding_mode="reflect"), MAP),
    "nearest_exact": (lambda: nn.Upsample(size=(25, 40), mode="nearest-exact"), MAP),
    "nearest_exact_factor": (lambda: nn.Upsample(scale_factor=1.7, mode="nearest-exact"), MAP),
    "conv1d": (lambda: Fn(lambda x, conv: conv(x.flatten(2))[:, :, None], nn.Conv1d(6, 4, 3, 2, 1)), MAP),
    "matrices": (lambda: Fn(lambda x: x @ x.transpose(2, 3) + torch.bmm(x[0], x[0].mT)[None]), MAP),
    "matrix_fixed": (lambda: Fn(lambda x, fc: x @ fc.weight, nn.Linear(5, 11)), MAP),
    "linear_columns": (lambda: nn.Sequential(nn.Linear(11, 5), nn.ReLU()), MAP),
    "attention": (lambda: Fn(attention, nn.Linear(6, 18)), MAP),
    "attention_heads": (lambda: Fn(heads, nn.MultiheadAttention(6, 2, batch_first=True)), MAP),
    "attention_masked": (lambda: Fn(masked_attention), MAP),
    "transformer": (
        lambda: Fn(
            lambda x, layer: layer(x.flatten(2).mT).mT.unflatten(2, (9, 11)),
            nn.TransformerEncoderLayer(6, 2, 16, batch_first=True, norm_first=True, activation="gelu"),
        ),
        MAP,
    ),
    "transposed_pointwise_shuffled": (
        lambda: nn.Sequential(nn.ConvTranspose2d(6, 16, 2, 2), nn.Conv2d(16, 8, 1), nn.PixelShuffle(2)),
        MAP,
    ),
    "mask_added": (lambda: Fn(lambda x: (x + torch.full((11, 11), -torch.inf).triu(1)[:9]).softmax(3)), MAP),
    "where": (lambda: Fn(lambda x: torch.where(x > 0.5, x, -x.masked_fill(x <= -1, 0.3)) * (x < x[:, :1])), MAP),
    "where_fixed": (lambda: Fn(lambda x: torch.where(torch.arange(11) >= 4, x, 0.0) + (~(x >= 0)).float()), MAP),
    "filled": (lambda: Fn(lambda x: torch.cat([x, torch.zeros_like(x[:, :1]), x.new_ones(1, 2, 9, 11)], 1)), MAP),
    "deep_prelu": (lambda: nn.Sequential(nn.PReLU(6), nn.GELU(), nn.Tanh()), MAP),
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
