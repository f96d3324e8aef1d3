"""float16 TFLite files: read by the schema's own package, computed by LiteRT, and on a board's processor in float16."""

import json
import struct

import numpy as np
import pytest
import tflite
import torch
from tiny_export import write_checkpoint
from torch import nn

from segfast_edge.cli import main
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.device.spawn import outputs
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.profiling.over_ssh import RemoteProfile, profile_remote
from targets.engines import litert


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.pt")


@pytest.fixture(scope="module")
def artifacts(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    for name, words in (("full", ()), ("half", ("--half",))):
        assert main(["convert", str(checkpoint), "--target", "tflite", "-o", str(folder / name), *words]) == 0
    return folder


def model_of(folder):
    return tflite.Model.GetRootAsModel((folder / "model.tflite").read_bytes(), 0)


def weights_by_type(model):
    """Return how many bytes of fixed values the file has by element type, and which operators read float16."""
    graph, sizes, readers = model.Subgraphs(0), {}, set()
    for number in range(graph.TensorsLength()):
        tensor = graph.Tensors(number)
        length = model.Buffers(tensor.Buffer()).DataLength()
        sizes[tensor.Type()] = sizes.get(tensor.Type(), 0) + length
    for number in range(graph.OperatorsLength()):
        step = graph.Operators(number)
        if any(graph.Tensors(each).Type() == tflite.TensorType.FLOAT16 for each in step.InputsAsNumpy()):
            readers.add(model.OperatorCodes(step.OpcodeIndex()).BuiltinCode())
    return sizes, readers


def test_weights_are_float16_and_nothing_keeps_them_in_float32(artifacts):
    half, readers = weights_by_type(model_of(artifacts / "half"))
    full, _ = weights_by_type(model_of(artifacts / "full"))
    kinds = tflite.TensorType
    assert readers == {tflite.BuiltinOperator.DEQUANTIZE}
    assert 2 * half[kinds.FLOAT16] + half[kinds.FLOAT32] == full[kinds.FLOAT32]
    assert half[kinds.FLOAT32] < 0.2 * full[kinds.FLOAT32]


def test_the_file_is_marked_for_xnnpack_and_the_manifest_says_what_it_holds(artifacts):
    model = model_of(artifacts / "half")
    marks = {model.Metadata(n).Name(): model.Metadata(n).Buffer() for n in range(model.MetadataLength())}
    assert model.Buffers(marks[b"reduced_precision_support"]).DataAsNumpy().tobytes() == b"fp16accfp16"
    manifest = json.loads((artifacts / "half/manifest.json").read_text())
    assert manifest["precision"] == "float16"
    assert manifest["parity"]["executed_precision"] == "float32"  # which this processor computes the file in
    assert manifest["parity"]["label_agreement_worst_frame"] >= 0.99


def test_it_labels_pictures_as_the_untouched_network_does(checkpoint, artifacts):
    network = PreparedNetwork(checkpoint)
    frames = [
        np.random.default_rng(seed).integers(0, 256, (*network.graph.preprocess.size, 3), np.uint8) for seed in (1, 2)
    ]
    found = outputs(artifacts / "half", [(str(place), frame) for place, frame in enumerate(frames)])
    for raw, frame in zip(found, frames, strict=True):
        assert np.mean(raw[0] == network.oracle.logits(frame).argmax(-1)) > 0.99
    found.close()


class Large(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 1)
        with torch.no_grad():
            self.conv.weight.mul_(1e8)

    def forward(self, x):
        return self.conv(x)


def large(classes):
    return Large()


def test_a_weight_that_float16_cannot_hold_is_refused_by_its_name(tmp_path, capsys):
    words = ["--model", f"{__name__}:large", "--classes", "5", "--size", "32x48", "-o", str(tmp_path / "a")]
    assert main(["convert", *words, "--target", "tflite", "--half"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("segfast-edge:")]
    assert "'conv" in line
    assert "float16 ends at 65504. Leave --half out" in line
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--target", "onnx", "--half"), "format onnx is not written in float16; --half works with tflite"),
        (("--target", "tflite", "--half", "--int8", "--calibration", "x"), "--half goes with neither --int8 nor"),
    ],
)
def test_half_where_it_does_not_go_is_refused(checkpoint, tmp_path, words, message, capsys):
    assert main(["convert", str(checkpoint), "-o", str(tmp_path / "a"), *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("capabilities", "computes"), [(0, False), (1 << 10, True), ((1 << 10) - 1, False)])
def test_arms_capabilities_tell_whether_it_computes_in_float16(tmp_path, monkeypatch, capabilities, computes):
    (tmp_path / "auxv").write_bytes(struct.pack("6Q", 6, 4096, 16, capabilities, 0, 0))
    monkeypatch.setattr(litert.platform, "machine", lambda: "aarch64")
    assert litert.computes_in_float16(tmp_path / "auxv") is computes
    assert not litert.computes_in_float16(tmp_path / "none")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "executed"), [("rpi5", "float16"), ("rpi4", "float32")])
def test_a_pi_5_computes_it_in_float16_and_a_pi_4_in_float32(artifacts, start_board, monkeypatch, name, executed):
    """The judge is the emulator, which counts the multiplications of each kind that the processor carried out."""
    board = start_board(name)
    monkeypatch.setenv("SEGFAST_SSH", board.ssh_command)
    short = ProfileOptions(threads=1, num_runs=1, min_secs=0, max_secs=5)
    report = profile_remote(artifacts / "half", board.host, RemoteProfile("rpi", short, install=True))
    assert report.to_json()["executed_precision"] == executed
    counts = report.to_json()["instructions"]["per_inference"]
    assert (counts["mla_f16"] > 10 * counts["mla_f32"]) is (executed == "float16")
    assert (counts["mla_f16"] == 0) is (executed == "float32")
