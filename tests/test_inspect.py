"""What inspect says of a file, held to other readers: XML, the package tflite, torch's own counting of operations."""

import importlib
import json
from collections import Counter
from xml.etree import ElementTree

import onnx
import pytest
import tflite
import torch
from runtimes import FORMATS
from tiny_export import CLASSES, write_checkpoint
from torch.utils.flop_counter import FlopCounterMode

from segfast_edge.cli import main
from segfast_edge.contract.formats import format_named, format_names
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.images import write_picture
from segfast_edge.data.calibration import Calibration
from segfast_edge.export.common.parity import scene_frame
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.quantization import Agreement, Quantization
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.convert import convert
from segfast_edge.inspection import inspect
from segfast_edge.model.checkpoint import Checkpoint

SIZE = (32, 48)
LEAST_INT8 = 8 * 3 * 9 + 8 * 2 * 9 + 14 * 5  # convolutions; whether transposed ones are integers depends on the format


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "a.pt")


@pytest.fixture(scope="module")
def made(checkpoint, tmp_path_factory):
    """The checkpoint in every format, its transposed convolutions as they are."""
    folder = tmp_path_factory.mktemp("made")
    for name in FORMATS:
        convert(PreparedNetwork(checkpoint), ExportRequest(name, folder / name, lowering="native"))
    return folder


@pytest.fixture(scope="module")
def counted_by_torch(checkpoint):
    """Multiply-accumulates as torch's dispatcher sees them when the network runs."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        Checkpoint.load(checkpoint).module()(torch.zeros(1, 3, *SIZE))
    return counter.get_total_flops() // 2


def _onnx(path):
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def _openvino(path):
    types = [layer.get("type") for layer in ElementTree.parse(path).getroot().iter("layer")]
    named = ["Relu" if each == "ReLU" else each for each in types]  # the file and its reader spell it differently
    return Counter(each for each in named if each not in ("Const", "Parameter", "Result"))


def _tflite(path):
    model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    codes = [graph.Operators(place).OpcodeIndex() for place in range(graph.OperatorsLength())]
    return Counter(tflite.opcode2name(model.OperatorCodes(code).BuiltinCode()) for code in codes)


READERS = {"onnx": _onnx, "openvino": _openvino, "tflite": _tflite}


@pytest.mark.parametrize("name", READERS)
def test_operators_are_those_that_another_reader_counts(name, made):
    artifact = made / name
    assert inspect(artifact).file.operators == READERS[name](artifact / format_named(name).model_file)


@pytest.mark.parametrize("name", ["onnx", "openvino"])  # TFLite has no grouped transposed convolution: it is filled up
def test_the_cost_is_what_torch_counts(name, made, counted_by_torch):
    assert inspect(made / name).file.macs == counted_by_torch


def test_the_cost_of_a_checkpoint_is_what_torch_counts(checkpoint, counted_by_torch):
    found = inspect(checkpoint)
    assert found.file.macs == counted_by_torch
    assert found.file.operators["ConvTranspose2d"] == 2
    assert found.provenance == {"data": "scenes"}


@pytest.mark.parametrize("name", FORMATS)
def test_an_artifact_and_the_file_in_it_say_the_same(name, made, capsys):
    assert main(["inspect", str(made / name), "--json"]) == 0
    artifact = json.loads(capsys.readouterr().out)
    assert main(["inspect", str(made / name / format_named(name).model_file), "--json"]) == 0
    bare = json.loads(capsys.readouterr().out)
    for key in ("inputs", "outputs", "operators", "macs", "weights", "preprocess", "classes", "precision"):
        assert bare[key] == artifact[key]
    assert (artifact["kind"], bare["kind"]) == ("artifact", "model file")
    assert artifact["classes"]["names"] == list(CLASSES.names)
    assert artifact["parity"]["label_agreement"] == 1
    if name != "torchscript":  # which fixes no shape
        assert artifact["inputs"] == [{"name": "frames", "shape": [1, *SIZE, 3], "dtype": "uint8"}]
        assert artifact["outputs"] == [{"name": "labels", "shape": [1, *SIZE], "dtype": "uint8"}]


@pytest.mark.parametrize("name", ["onnx", "openvino", "tflite"])
def test_int8_is_read_from_the_weights_themselves(name, checkpoint, tmp_path):
    (tmp_path / "frames").mkdir()
    for seed in range(4):
        write_picture(tmp_path / f"frames/{seed}.png", scene_frame(Preprocess(*SIZE), seed))
    asked = Quantization(Calibration.open(tmp_path / "frames", None), 4, Agreement(0))
    convert(PreparedNetwork(checkpoint), ExportRequest(name, tmp_path / "a", quantization=asked))
    found = inspect(tmp_path / "a" / format_named(name).model_file)
    assert found.file.weights["int8"] >= LEAST_INT8
    assert "int8" in found.precision


def test_a_file_of_somebody_else_says_what_it_can(tmp_path, capsys):
    value = onnx.helper.make_tensor_value_info
    weights = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, (4, 3, 3, 3), [0.5] * 108)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "theirs",
        [value("x", onnx.TensorProto.FLOAT, (1, 3, 8, 10))],
        [value("y", onnx.TensorProto.FLOAT, (1, 4, 8, 10))],
        [weights],
    )
    onnx.save(onnx.helper.make_model(graph, producer_name="theirs"), tmp_path / "a.onnx")
    assert main(["inspect", str(tmp_path / "a.onnx")]) == 0
    said = capsys.readouterr().out
    assert "not known: the file does not say" in said
    assert f"{4 * 3 * 9 * 80:,}" in said
    assert inspect(tmp_path / "a.onnx").classes is None


@pytest.mark.parametrize("name", format_names())
def test_a_damaged_file_is_refused_in_one_line(name, tmp_path, capsys):
    path = tmp_path / format_named(name).model_file
    path.write_bytes(b"\x08\x07 this is no model" * 9)
    assert main(["inspect", str(path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert str(path) in line


@pytest.mark.parametrize(
    ("name", "says"), [("missing.onnx", "no "), ("a.txt", "is of no known kind"), (".", "manifest.json does not exist")]
)
def test_what_is_no_model_is_refused_in_one_line(name, says, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("words")
    assert main(["inspect", str(tmp_path / name)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line


@pytest.mark.parametrize("name", format_names())
def test_every_format_has_a_reader(name):
    assert callable(importlib.import_module(f"segfast_edge.inspection.{name}").read)
