"""Int8 from our float files: what computes in int8, how much is lost, what is refused."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_export import CLASSES, write_checkpoint
from tiny_tflite import CASES, MAP, Fn, build, interpreter, nhwc, operators, pieces, ran, written
from torch import nn

from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.errors import ConversionError
from segfast_edge.export.common.graph import Deployable, deployable
from segfast_edge.export.common.parity import scene_frame
from segfast_edge.export.tflite_int8 import calibrate
from segfast_edge.export.tflite_writer.int8.plan import plan
from segfast_edge.export.tflite_writer.int8.ranges import observed
from segfast_edge.export.tflite_writer.int8.rewrite import rewritten
from segfast_edge.export.tflite_writer.reader import read
from segfast_edge.export.tflite_writer.write import write
from segfast_edge.model.checkpoint import Checkpoint

SHUT_IN = [  # cases put between two convolutions, so that what they do is done in int8
    "conv_same",
    "conv_stride2_even",
    "conv_grouped",
    "depthwise",
    "depthwise_multiplied",
    "depthwise_dilated",
    "conv_relu6",
    "relu_shared",
    "squeeze_excite",
    "flatten_linear_scale",
    "relu",
    "relu6",
    "sigmoid",
    "tanh",
    "hardswish",
    "silu",
    "leaky_relu",
    "softmax",
    "arithmetic",
    "larger_and_smaller",
    "max_pool_padded",
    "max_pool_ceil",
    "avg_pool",
    "avg_pool_whole",
    "avg_pool_inside_same",
    "adaptive_1",
    "adaptive_uneven",
    "mean_kept",
    "unpool",
    "bilinear_odd",
    "bilinear_corners",
    "nearest",
    "cat_channels",
    "slice",
    "chunk",
    "pad",
    "pad_value",
    "pixel_shuffle",
    "pixel_unshuffle",
    "channel_shuffle",
    "transposed_pointwise",
]
IN_FLOAT = {  # what TFLite has no int8 for, or we leave alone: these alone may stand between conversions
    "adaptive_uneven": {"BATCH_MATMUL", "RESHAPE"},
    "unpool": {"ARG_MAX", "ONE_HOT", "MUL", "RESHAPE", "DEPTH_TO_SPACE", "SUB"},
}


def decibels(expected, found):
    """Return how far the error lies below the signal."""
    error = np.mean((expected - found) ** 2, dtype=np.float64)
    return 10 * np.log10(np.mean((expected - expected.mean()) ** 2, dtype=np.float64) / max(error, 1e-20))


def shut_in(name):
    """Return a case between two convolutions as a float file, and inputs for it, NHWC."""
    network, x, y = build(name)
    whole = nn.Sequential(nn.Conv2d(x.shape[1], x.shape[1], 1), network, nn.Conv2d(y.shape[1], 8, 1))
    whole = whole.eval().requires_grad_(False)
    batches = [nhwc(torch.randn(x.shape).numpy()) for _ in range(8)]
    return written(whole, x), batches


def made_int8(content, batches, kept_float=()):
    graph = read(content)
    chosen = plan(graph, observed(graph, [batch[0] for batch in batches]), kept_float)
    return bytes(rewritten(graph, chosen).serialise())


@pytest.mark.parametrize("name", SHUT_IN)
def test_an_operator_loses_little_in_int8_and_stays_in_it(name):
    content, batches = shut_in(name)
    small = made_int8(content, batches)
    expected = np.concatenate([ran(content, batch) for batch in batches])
    found = np.concatenate([ran(small, batch) for batch in batches])
    assert decibels(expected, found) > (15 if name == "unpool" else 25)  # equal after rounding, the first of them wins
    names = operators(small)
    between = names[names.index("QUANTIZE") + 1 : -1]  # the last one makes floats of the result
    if name not in IN_FLOAT:
        assert "DEQUANTIZE" not in between
    assert interpreter(small).get_output_details()[0]["dtype"] == np.float32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    checkpoint = Checkpoint.load(write_checkpoint(folder / "tiny.pt", size=(32, 48)))
    for output in ("labels", "logits"):
        graph = deployable(checkpoint, output, lowering="phases")
        (folder / f"{output}.tflite").write_bytes(write(graph, '{"made": "here"}'))
    return folder


def small_file(path):
    return bytes(calibrate(path.read_bytes(), FRAMES).int8())


def weight_types(content):
    """Return what each layer with weights computes in, by its name."""
    return {
        step.outputs[0].name.rpartition("/")[0]: step.inputs[0].dtype.name
        for step in read(content).operators
        if step.name in ("CONV_2D", "DEPTHWISE_CONV_2D")
    }


FRAMES = [Preprocess(32, 48).image(scene_frame(Preprocess(32, 48), seed)) for seed in range(8)]


def test_a_network_keeps_its_input_output_and_metadata_and_runs_in_one_piece(folder):
    content = small_file(folder / "labels.tflite")
    opened = interpreter(content)
    (incoming,), (outgoing,) = opened.get_input_details(), opened.get_output_details()
    assert (incoming["name"], incoming["dtype"], incoming["shape"].tolist()) == ("frames", np.uint8, [1, 32, 48, 3])
    assert (outgoing["name"], outgoing["dtype"], outgoing["shape"].tolist()) == ("labels", np.uint8, [1, 32, 48])
    assert read(content).metadata["segfast_edge"] == b'{"made": "here"}'
    found = operators(content)
    assert found[:2] == ["DEQUANTIZE", "QUANTIZE"]
    assert found[-4:] == ["DEQUANTIZE", "RESIZE_BILINEAR", "ARG_MAX", "CAST"]
    assert pieces(content) == 1
    assert (found.count("QUANTIZE"), found.count("DEQUANTIZE")) == (1, 2)
    assert weight_types(content) == dict.fromkeys(("stem.0", "down.0", "up.0", "up_again", "classify"), "int8")


def test_labels_agree_with_those_of_the_float_file(folder):
    files = [[path.read_bytes(), small_file(path)] for path in (folder / "labels.tflite", folder / "logits.tflite")]
    agreement, loss = [], []
    for frame in FRAMES:
        pairs = [[ran(file, frame[None]) for file in pair] for pair in files]
        agreement.append(np.mean(pairs[0][0] == pairs[0][1]))
        loss.append(decibels(*pairs[1]))
    assert np.mean(agreement) > 0.97
    assert min(loss) > 20


def test_layers_can_be_kept_float(folder):
    calibration = calibrate((folder / "labels.tflite").read_bytes(), FRAMES)
    assert calibration.layers == ["stem.0", "down.0", "up.0", "up_again", "classify"]
    mixed = calibration.int8(["stem.0", "up_again"])
    kinds = {"stem.0": "float32", "down.0": "int8", "up.0": "int8", "up_again": "float32", "classify": "int8"}
    assert weight_types(bytes(mixed)) == kinds
    frame = FRAMES[0][None]
    whole = ran((folder / "labels.tflite").read_bytes(), frame)
    assert np.mean(ran(bytes(mixed), frame) == whole) > 0.95


def test_everything_kept_float_computes_what_the_float_file_does(folder):
    calibration = calibrate((folder / "logits.tflite").read_bytes(), FRAMES[:1])
    kept = calibration.int8(calibration.layers)
    frame = FRAMES[3][None]
    expected = ran((folder / "logits.tflite").read_bytes(), frame)
    np.testing.assert_allclose(ran(bytes(kept), frame), expected, atol=1e-5)


def test_the_mean_colour_goes_into_the_bias_exactly():
    torch.manual_seed(0)
    graph = Deployable(nn.Conv2d(3, 5, 1), Preprocess(16, 16), CLASSES, "logits")
    content = bytes(write(graph))
    frames = [np.full((16, 16, 3), colour, np.uint8) for colour in ((0, 0, 0), (255, 255, 255), (7, 130, 201))]
    small = made_int8(content, [frame[None] for frame in frames])
    assert operators(small) == ["DEQUANTIZE", "QUANTIZE", "CONV_2D", "DEQUANTIZE"]
    for frame in frames:
        expected, found = ran(content, frame[None]), ran(small, frame[None])
        step = interpreter(small).get_tensor_details()
        scale = max(each["quantization"][0] for each in step if each["name"] == "logits/int8")
        assert np.abs(expected - found).max() < 1.5 * scale


def test_hardswish_stays_with_xnnpack():
    content, batches = shut_in("hardswish")
    small = made_int8(content, batches)
    assert operators(small)[1:-1] == ["CONV_2D", "DEPTHWISE_CONV_2D", "MUL", "CONV_2D"]
    assert pieces(small) == 1


def test_a_border_is_put_round_integers():
    network = nn.Conv2d(6, 4, 3, 2, 1).eval().requires_grad_(False)
    small = made_int8(written(network, torch.randn(1, 6, 8, 8)), [np.ones((1, 8, 8, 6), np.float32)])
    assert operators(small) == ["QUANTIZE", "PAD", "CONV_2D", "DEQUANTIZE"]


def test_a_skip_with_a_small_range_keeps_its_own_scale():
    def joined(x, low, high, last):
        skip = low(x)
        return last(torch.cat([skip, 50 * high(x)], 1)) + skip.mean()

    layers = [nn.Conv2d(6, 4, 1), nn.Conv2d(6, 4, 1), nn.Conv2d(8, 2, 1)]
    network = nn.Sequential(Fn(joined, *layers), nn.Conv2d(2, 2, 1)).eval().requires_grad_(False)
    batches = [nhwc(torch.randn(MAP).numpy()) for _ in range(4)]
    small = made_int8(written(network, torch.randn(MAP)), batches)
    graph = read(small)
    between = [step for step in graph.operators if step.name == "QUANTIZE" and step.inputs[0].dtype == np.int8]
    assert len(between) == 1
    assert graph.affines[between[0].outputs[0].index].scale > 1.5 * graph.affines[between[0].inputs[0].index].scale


def test_a_channel_without_weights_keeps_its_bias():
    layer = nn.Conv2d(6, 4, 1).requires_grad_(False)
    layer.weight[1] = 0
    layer.bias[:] = torch.tensor([0.1, 3.0, -0.2, 0.0])
    batches = [nhwc(torch.randn(MAP).numpy()) for _ in range(4)]
    small = made_int8(written(layer.eval(), torch.randn(MAP)), batches)
    assert np.abs(ran(small, batches[0])[..., 1] - 3.0).max() < 0.05


def test_what_cannot_be_calibrated_is_refused(folder):
    content = (folder / "labels.tflite").read_bytes()
    with pytest.raises(ConversionError, match="no calibration frames"):
        calibrate(content, [])
    with pytest.raises(ConversionError, match=r"a calibration frame is \(16, 16, 3\)"):
        calibrate(content, [np.zeros((16, 16, 3), np.uint8)])
    with pytest.raises(ConversionError, match="Did you mean 'classify'"):
        calibrate(content, FRAMES[:1]).int8(["clasify"])
    with pytest.raises(ConversionError, match="not a TFLite file"):
        calibrate(b"nothing of the kind", FRAMES[:1])


def test_infinite_values_on_the_way_are_refused_by_layer():
    network = nn.Sequential(nn.Conv2d(6, 4, 1), Fn(lambda x: torch.exp(100 * F.relu(x))), nn.Conv2d(4, 2, 1))
    content = written(network.eval().requires_grad_(False), torch.randn(MAP))
    with np.errstate(all="ignore"), pytest.raises(ConversionError, match="'1/exp' reaches infinity"):
        made_int8(content, [np.full(nhwc(np.zeros(MAP)).shape, 100, np.float32)])


def test_every_case_that_is_shut_in_is_one():
    assert set(SHUT_IN) <= set(CASES)
