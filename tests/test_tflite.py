"""The TFLite files: what is in them, who can read them, and that every network of the package goes through."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tflite
import torch
from tiny_export import CLASSES, write_checkpoint
from tiny_tflite import CASES, build, interpreter, nhwc, operators, ran, written
from torch import nn

from segfast_edge.contract.classes import ClassSet, distinct_palette
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.errors import ConversionError
from segfast_edge.export.common.graph import Deployable, deployable
from segfast_edge.export.tflite_int8 import calibrate
from segfast_edge.export.tflite_writer.builder import GraphBuilder
from segfast_edge.export.tflite_writer.reader import read
from segfast_edge.export.tflite_writer.write import write
from segfast_edge.model import build as build_network
from segfast_edge.model import networks
from segfast_edge.model.checkpoint import Checkpoint

ROOT = Path(__file__).parent.parent
OLD_RUNTIME = Path(os.environ.get("SEGFAST_TFLITE_RUNTIME_PYTHON", ROOT / ".venv-tflite/bin/python"))
RUN_ALL = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter
for name in sys.argv[2:]:
    opened = Interpreter(model_path=f"{sys.argv[1]}/{name}.tflite", num_threads=1)
    opened.allocate_tensors()
    opened.set_tensor(opened.get_input_details()[0]["index"], np.load(f"{sys.argv[1]}/{name}.in.npy"))
    opened.invoke()
    np.save(f"{sys.argv[1]}/{name}.out.npy", opened.get_tensor(opened.get_output_details()[0]["index"]))
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return Checkpoint.load(write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.pt"))


def graph_of(checkpoint, output="labels", lowering="phases"):
    return deployable(checkpoint, output, lowering=lowering)


@pytest.fixture(scope="module")
def content(checkpoint):
    return bytes(write(graph_of(checkpoint), json.dumps({"network": "tiny", "name": "Straße"})))


def network_graph(name, size, output="logits"):
    """Return a network of the package with random weights and settled statistics, ready to write."""
    torch.manual_seed(0)
    classes = ClassSet(tuple(f"class {number}" for number in range(5)), distinct_palette(5))
    network = build_network(name, len(classes)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5)
    weights = network.state_dict()
    return deployable(Checkpoint(name, classes, Preprocess(*size), "test", weights, {}), output, lowering="phases")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "fcn8s" else ()) for name in networks()]
)
def test_every_network_computes_what_torch_does_at_an_odd_size(name):
    graph = network_graph(name, (45, 61))
    with torch.no_grad():
        expected = graph(graph.example()).numpy()
    content = bytes(write(graph))
    y = ran(content, graph.example().numpy())
    assert y.shape == (1, 45, 61, 5)
    assert np.abs(y - expected).max() <= 1e-3 * np.abs(expected).max()
    assert np.mean(y.argmax(-1) == expected.argmax(-1)) > 0.999
    assert "TRANSPOSE" not in operators(content)


def test_segfast_is_as_many_steps_as_it_has_to_be():
    found = Counter(operators(bytes(write(network_graph("segfast", (64, 64), "labels")))))
    assert found == {
        "DEQUANTIZE": 1,
        "SUB": 1,
        "PAD": 1,
        "CONV_2D": 41,
        "DEPTHWISE_CONV_2D": 23,
        "AVERAGE_POOL_2D": 3,
        "CONCATENATION": 14,
        "DEPTH_TO_SPACE": 3,
        "RESIZE_BILINEAR": 1,
        "ARG_MAX": 1,
        "CAST": 1,
    }


def test_labels_are_the_largest_logits(checkpoint):
    frames = graph_of(checkpoint).example().numpy()
    labels = ran(bytes(write(graph_of(checkpoint))), frames)
    logits = ran(bytes(write(graph_of(checkpoint, "logits"))), frames)
    assert labels.dtype == np.uint8
    assert labels.shape == (1, 32, 48)
    assert np.array_equal(labels, logits.argmax(-1))


@pytest.mark.parametrize("lowering", ["native", "dense", "phases", "subpixel", "zero_insertion"])
def test_every_lowering_gives_the_same_logits(checkpoint, lowering):
    graph = graph_of(checkpoint, "logits", lowering)
    with torch.no_grad():
        expected = graph(graph.example()).numpy()
    np.testing.assert_allclose(ran(bytes(write(graph)), graph.example().numpy()), expected, atol=1e-4)


class Padless(nn.Module):
    """Reads the picture in ways that leave no convolution to take in the scale."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 1)

    def forward(self, x):
        return self.conv(x) + x.mean(1, keepdim=True)


@pytest.mark.parametrize("network", [Padless(), nn.Conv2d(3, 5, 5, padding=2), nn.Conv2d(3, 6, 3, padding=1, groups=3)])
def test_normalisation_is_exact_up_to_the_border(network):
    channels = 6 if isinstance(network, nn.Conv2d) and network.groups == 3 else 5
    classes = ClassSet(tuple("abcdef"[:channels]), distinct_palette(channels))
    graph = Deployable(network, Preprocess(16, 20), classes, "logits")
    for frames in (graph.example(), torch.zeros(1, 16, 20, 3, dtype=torch.uint8)):
        with torch.no_grad():
            expected = graph(frames).numpy()
        np.testing.assert_allclose(ran(bytes(write(graph)), frames.numpy()), expected, atol=1e-5)


def test_names_shapes_and_the_signature_are_those_of_the_contract(content):
    opened = interpreter(content)
    (incoming,), (outgoing,) = opened.get_input_details(), opened.get_output_details()
    assert (incoming["name"], incoming["dtype"], incoming["shape"].tolist()) == ("frames", np.uint8, [1, 32, 48, 3])
    assert (outgoing["name"], outgoing["dtype"], outgoing["shape"].tolist()) == ("labels", np.uint8, [1, 32, 48])
    assert opened.get_signature_list() == {"serving_default": {"inputs": ["frames"], "outputs": ["labels"]}}


def test_the_metadata_is_in_the_file(content):
    assert json.loads(read(content).metadata["segfast_edge"]) == {"network": "tiny", "name": "Straße"}


def test_another_reader_of_the_schema_agrees(content):
    model = tflite.Model.GetRootAs(content, 0)
    assert tflite.Model.ModelBufferHasIdentifier(content, 0)
    assert model.Version() == 3
    graph = model.Subgraphs(0)
    names = [
        tflite.opcode2name(model.OperatorCodes(graph.Operators(place).OpcodeIndex()).BuiltinCode())
        for place in range(graph.OperatorsLength())
    ]
    assert names == operators(content)
    shapes = [graph.Tensors(index).ShapeAsNumpy().tolist() for index in (graph.Inputs(0), graph.Outputs(0))]
    assert shapes == [[1, 32, 48, 3], [1, 32, 48]]


def test_every_buffer_is_aligned_as_the_schema_asks(content):
    model = tflite.Model.GetRootAs(content, 0)
    whole = np.frombuffer(content, np.uint8)
    for place in range(model.BuffersLength()):
        data = model.Buffers(place).DataAsNumpy()
        if isinstance(data, np.ndarray):
            start = data.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
            assert start % 16 == 0


def test_equal_constants_are_stored_once_and_names_are_unique():
    graph = GraphBuilder("test")
    one, two = graph.constant(np.arange(3), "a"), graph.constant(np.arange(3), "b")
    other = graph.constant(np.arange(3).reshape(3, 1), "c")
    assert one is two
    assert one is not other
    results = [graph.tensor((1,)).name for _ in range(3)]
    assert len(set(results)) == 3
    assert graph.tensor((1,), name=f"{graph.scope}_1").name not in results


def test_reading_a_file_back_gives_what_was_written(content):
    graph = read(content)
    assert [step.name for step in graph.operators] == operators(content)
    assert [tensor.name for tensor in (*graph.inputs, *graph.outputs)] == ["frames", "labels"]
    assert graph.affines[graph.inputs[0].index].scale == 1.0


@pytest.mark.parametrize("damaged", [b"", b"TFL3", b"\0" * 64])
def test_what_is_no_tflite_file_is_refused(damaged):
    with pytest.raises(ConversionError, match="not a TFLite file"):
        read(damaged)


def test_more_weights_than_a_file_can_hold_are_refused(monkeypatch):
    monkeypatch.setattr("segfast_edge.export.tflite_writer.builder.MAX_BYTES", 1000)
    graph = GraphBuilder("test")
    graph.constant(np.zeros(1000, np.float32), "weights")
    with pytest.raises(ConversionError, match="GiB of weights"):
        graph.serialise()


def test_without_litert_the_refusal_says_what_to_install():
    code = (
        "import sys; sys.modules['ai_edge_litert'] = None\n"
        "from segfast_edge.errors import ConversionError\n"
        "try:\n    import segfast_edge.export.tflite_writer.schema\n"
        "except ConversionError as error:\n    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'segfast-edge[litert]'" in said


def test_tflite_runtime_2_14_computes_the_same(checkpoint, tmp_path):
    if not OLD_RUNTIME.is_file():
        pytest.skip(f"no tflite-runtime at {OLD_RUNTIME}; set SEGFAST_TFLITE_RUNTIME_PYTHON to a Python that has it")
    expected = {}
    frames = graph_of(checkpoint).example().numpy()
    labels = bytes(write(graph_of(checkpoint)))
    files = {"labels": (labels, frames), "int8": (bytes(calibrate(labels, list(frames)).int8()), frames)}
    for name in ("unpool", "conv_grouped", "transposed_pointwise", "adaptive_uneven", "bicubic", "max_pool_padded"):
        network, x, _ = build(name)
        files[name] = written(network, x), nhwc(x.numpy())
    for name, (file, batch) in files.items():
        (tmp_path / f"{name}.tflite").write_bytes(file)
        np.save(tmp_path / f"{name}.in.npy", batch)
        expected[name] = ran(file, batch)
    subprocess.run([OLD_RUNTIME, "-c", RUN_ALL, tmp_path, *files], check=True, capture_output=True)
    results = {name: np.load(tmp_path / f"{name}.out.npy") for name in files}
    assert np.array_equal(results["labels"], expected["labels"])
    assert np.mean(results["int8"] == expected["int8"]) > 0.97  # its int8 kernels round in another way
    for name in [*files][2:]:
        np.testing.assert_allclose(results[name], expected[name], atol=1e-4, rtol=1e-5, err_msg=name)


@pytest.mark.slow
def test_tflite_runtime_2_14_runs_every_operator(tmp_path):
    if not OLD_RUNTIME.is_file():
        pytest.skip(f"no tflite-runtime at {OLD_RUNTIME}; set SEGFAST_TFLITE_RUNTIME_PYTHON to a Python that has it")
    expected = {}
    for name in CASES:
        network, x, result = build(name)
        (tmp_path / f"{name}.tflite").write_bytes(written(network, x))
        np.save(tmp_path / f"{name}.in.npy", nhwc(x.numpy()))
        expected[name] = nhwc(result.numpy())
    subprocess.run([OLD_RUNTIME, "-c", RUN_ALL, tmp_path, *CASES], check=True, capture_output=True)
    for name, result in expected.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.out.npy"), result, atol=1e-4, rtol=1e-5, err_msg=name)


def test_the_file_says_how_many_classes_it_was_written_for(checkpoint):
    graph = Deployable(nn.Conv2d(3, 4, 1), Preprocess(16, 16), CLASSES, "logits")
    with pytest.raises(ConversionError, match="expected logits of shape"):
        write(graph)
