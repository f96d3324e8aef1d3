"""Convert: artifacts that compute what torch computes, or nothing at all."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_export import CLASSES, write_checkpoint

from segfast_edge.cli import main
from segfast_edge.contract.formats import format_names
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.shared.files import sha256
from segfast_edge.contract.shared.images import read_frame, read_labels, write_picture
from segfast_edge.device.spawn import outputs
from segfast_edge.errors import ArtifactError, ConversionError, ParityError
from segfast_edge.export import exporter
from segfast_edge.export.common.graph import deployable
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.convert import convert

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.pt")


@pytest.fixture(scope="session")
def source(checkpoint):
    return PreparedNetwork(checkpoint)


@pytest.fixture(scope="session", params=format_names())
def artifact(request, source, tmp_path_factory):
    """One artifact of each format found in the package."""
    folder = tmp_path_factory.mktemp("artifact") / request.param
    convert(source, ExportRequest(request.param, folder, command="segfast-edge convert tiny.pt"))
    return folder


def test_every_exporter_is_found_and_nothing_else():
    assert {"torchscript", "openvino", "onnx"} <= set(format_names())
    assert "convert" not in format_names()


def test_an_artifact_labels_frames_as_torch_does(artifact, source):
    frame = np.random.default_rng(5).integers(0, 256, (50, 70, 3), np.uint8)
    (raw,) = outputs(artifact, [("noise", frame)])
    batch = torch.from_numpy(source.checkpoint.preprocess.image(frame).copy())[None]
    with torch.no_grad():
        expected = source.graph(batch)
    assert raw.shape == (1, 32, 48)
    assert raw.dtype == np.uint8
    assert np.mean(raw == expected.numpy()) >= 0.999


def test_parity_is_measured_and_recorded(artifact):
    parity = Manifest.load(artifact).parity
    assert parity["frames"] >= 5
    assert 0 <= parity["logits_max_abs_diff"] <= 1e-4
    assert parity["label_agreement"] >= 0.999
    assert parity["executed_precision"] == "float32"
    assert parity["thresholds"]["label_agreement"] == 0.999


def test_the_manifest_says_where_the_artifact_came_from(artifact, checkpoint):
    manifest = Manifest.load(artifact)
    origin = manifest.provenance
    assert origin["network"] == "tiny_export:decoder"
    assert origin["checkpoint_sha256"] == sha256(checkpoint)
    assert origin["protocol"].startswith("paper: 32x48")
    assert origin["training"] == {"data": "scenes"}
    assert origin["command"] == "segfast-edge convert tiny.pt"
    assert origin["lowering"] in ("native", "dense", "subpixel", "phases", "zero_insertion")
    assert "segfast-edge" in origin["versions"]
    assert manifest.classes == CLASSES


def test_the_golden_pair_is_what_torch_gives(artifact, source):
    frame, labels = read_frame(artifact / "golden/frame.png"), read_labels(artifact / "golden/labels.png")
    batch = torch.from_numpy(source.checkpoint.preprocess.image(frame).copy())[None]
    np.testing.assert_array_equal(labels, source.graph(batch)[0].numpy())


def test_logits_are_given_where_asked(source, tmp_path):
    manifest = convert(source, ExportRequest("openvino", tmp_path / "a", output_kind="logits"))
    frame = np.zeros((32, 48, 3), np.uint8)
    (raw,) = outputs(tmp_path / "a", [("black", frame)])
    expected = source.graph.with_output("logits")(torch.zeros(1, 32, 48, 3, dtype=torch.uint8))
    assert manifest.output.shape == raw.shape == (1, 32, 48, 5)
    np.testing.assert_allclose(raw, expected.numpy(), atol=1e-5)


def test_a_lowering_that_was_asked_for_is_written_and_exact(source, tmp_path):
    manifest = convert(source, ExportRequest("onnx", tmp_path / "a", lowering="phases"))
    assert manifest.provenance["lowering"] == "phases"
    assert manifest.parity["logits_max_abs_diff"] <= 1e-4
    assert b"ConvTranspose" not in (tmp_path / "a/model.onnx").read_bytes()


class Tampering:
    """An exporter that writes other weights than it was given."""

    TOOLS = ()

    def __init__(self, name):
        self.real = exporter(name)

    def export(self, graph, manifest, folder):
        wrong = replaced_weights(graph)
        return self.real.export(wrong, manifest, folder)


def replaced_weights(graph):
    wrong = graph.with_output(graph.output_kind)
    wrong.network = torch.nn.Sequential(graph.network, torch.nn.Conv2d(5, 5, 1))
    torch.nn.init.eye_(wrong.network[1].weight.data[:, :, 0, 0])
    with torch.no_grad():
        wrong.network[1].bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.0, 5.0]))
    return wrong.requires_grad_(False)


def test_an_artifact_that_differs_from_torch_is_refused_and_the_old_one_stays(source, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/mine").touch()
    with pytest.raises(ParityError, match="does not compute what torch computes: logits differ by") as caught:
        convert(source, ExportRequest("onnx", tmp_path / "a", overwrite=True), by=Tampering("onnx"))
    assert caught.value.exit_code == 3
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["a", "a/mine"]


def test_an_artifact_is_not_overwritten_unasked(source, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/mine").touch()
    with pytest.raises(ArtifactError, match=r"exists already.*--overwrite"):
        convert(source, ExportRequest("torchscript", tmp_path / "a"))


def test_nan_in_a_weight_names_the_layer(tmp_path):
    def spoil(weights):
        weights["stem.0.weight"][0, 0, 0, 0] = math.nan

    path = write_checkpoint(tmp_path / "nan.pt", spoil=spoil)
    with pytest.raises(ConversionError, match=r"layer 'stem\.0' has NaN or infinity in its weight"):
        deployable(PreparedNetwork(path).checkpoint)


def test_control_flow_on_values_names_the_layer(tmp_path):
    path = write_checkpoint(tmp_path / "c.pt", "tiny_export:branching")
    with pytest.raises(ConversionError, match="layer '1' reads a value that depends on the input"):
        deployable(PreparedNetwork(path).checkpoint)


@pytest.mark.parametrize("name", ["openvino", "onnx"])
def test_an_operator_that_a_format_lacks_is_named(tmp_path, name):
    path = write_checkpoint(tmp_path / "c.pt", "tiny_export:odd")
    with pytest.raises(ConversionError, match="svd"):
        convert(PreparedNetwork(path), ExportRequest(name, tmp_path / "a"))
    assert not (tmp_path / "a").exists()


def test_the_command_converts_to_several_formats(checkpoint, tmp_path, capsys):
    picture = tmp_path / "mine.png"
    write_picture(picture, np.full((20, 30, 3), 90, np.uint8))
    words = ["convert", str(checkpoint), "--target", "openvino, onnx", "-o", str(tmp_path / "out")]
    assert main([*words, "--golden", str(picture), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert [each["format"] for each in made] == ["openvino", "onnx"]
    for name in ("openvino", "onnx"):
        np.testing.assert_array_equal(read_frame(tmp_path / "out" / name / "golden/frame.png"), read_frame(picture))
        Manifest.load(tmp_path / "out" / name)


def test_the_command_lists_the_precision_of_each_layer_that_was_executed(checkpoint, tmp_path, capsys):
    words = ["convert", str(checkpoint), "--target", "onnx", "--layers", "-o", str(tmp_path / "a")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    for layer in ("stem", "up_again", "classify"):
        assert re.search(rf"network\.{layer}\b.* float32", shown), shown


def test_the_command_prints_what_parity_found(checkpoint, tmp_path, capsys):
    words = ["convert", str(checkpoint), "--format", "onnx", "-o", str(tmp_path / "out"), "--output", "logits"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "float32" in shown
    assert "native" in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--target", "opnvino"], "unknown format 'opnvino'. Did you mean 'openvino'?"),
        (["--target", ","], "names no format"),
        (["--target", "torchscript", "--lowering", "natve"], "unknown lowering 'natve'. Did you mean 'native'?"),
        (["--target", "torchscript", "--golden", "nowhere.png"], "no such image"),
    ],
)
def test_a_wrong_word_is_refused_in_one_line(checkpoint, tmp_path, capsys, words, says):
    assert main(["convert", str(checkpoint), "-o", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_truncated_checkpoint_is_refused(checkpoint, tmp_path, capsys):
    (tmp_path / "half.pt").write_bytes(checkpoint.read_bytes()[:2000])
    assert main(["convert", str(tmp_path / "half.pt"), "--target", "torchscript"]) == 2
    assert "is truncated" in capsys.readouterr().err


def test_an_unwritable_place_is_refused(checkpoint, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["convert", str(checkpoint), "--target", "torchscript", "-o", str(tmp_path / "file/out")]) == 2
    assert "cannot write" in capsys.readouterr().err


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
from segfast_edge.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("name", ["torchscript", "openvino", "onnx"])
def test_a_write_that_fails_leaves_nothing(checkpoint, tmp_path, name):
    """The kernel refuses bytes beyond a limit, as a full disk does, in the middle of the model file."""
    words = ["convert", str(checkpoint), "--target", name, "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *words], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_conversion_leaves_nothing(checkpoint, tmp_path, sent):
    words = [sys.executable, "-m", "segfast_edge", "convert", str(checkpoint), "--target", "openvino"]
    child = subprocess.Popen(
        [*words, "-o", str(tmp_path / "out")], cwd=HERE, stderr=subprocess.PIPE, env={**os.environ, "COLUMNS": "200"}
    )
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob(".out.*.part/model.xml")):
        assert time.monotonic() < deadline
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.02)
    child.send_signal(sent)
    _, error = child.communicate(timeout=240)
    assert child.returncode == 130, error
    assert list(tmp_path.iterdir()) == []


def test_a_missing_tool_says_what_to_install(checkpoint, tmp_path):
    """In a process whose import path has everything but onnxscript."""
    blocked = "import sys; sys.modules['onnxscript'] = None; from segfast_edge.cli import main;"
    words = ["convert", str(checkpoint), "--target", "onnx", "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", f"{blocked} raise SystemExit(main({words!r}))"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "onnxscript is missing. Run: pip install 'segfast-edge[onnx]'" in done.stderr
