"""Int8: calibrated on what the device sees, recorded layer by layer, and refused where it costs too much."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
from tiny_export import CLASSES, write_checkpoint

from segfast_edge.cli import main
from segfast_edge.contract.formats import integer_formats
from segfast_edge.contract.layer_times import RESAMPLING
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.shared.images import read_frame, read_labels, write_picture
from segfast_edge.data.calibration import Calibration
from segfast_edge.data.scene import render
from segfast_edge.device.spawn import outputs
from segfast_edge.errors import AccuracyGateError, ArtifactError, ConversionError, DataError
from segfast_edge.export import exporter
from segfast_edge.export.common.conversion import begin
from segfast_edge.export.common.exporter import Int8Recipe
from segfast_edge.export.common.int8_search import fewest
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.quantization import Agreement, Gate, Quantization
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.common.sensitivity import sensitivities
from segfast_edge.export.convert import convert
from segfast_edge.prediction.evaluate import GroundTruth

FRAMES = 6


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    return PreparedNetwork(write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.pt"))


@pytest.fixture(scope="session")
def data(tmp_path_factory, source):
    """A labelled folder whose truth is what the float network says: its mIoU there is 1."""
    root = tmp_path_factory.mktemp("data")
    for name in ("images", "labels"):
        (root / name / "train").mkdir(parents=True)
    for seed in range(FRAMES):
        frame, _ = render((9, seed), (32, 48))
        labels = source.graph(torch.from_numpy(frame.copy())[None])[0].numpy()
        write_picture(root / f"images/train/{seed}.png", frame)
        write_picture(root / f"labels/train/{seed}.png", labels)
    (root / "classes.json").write_text(json.dumps(CLASSES.to_json() | {"ignored": None}))
    return root


def quantization(data, *, max_drop=None, subset=None):
    gate = Agreement(0.0) if max_drop is None else Gate(GroundTruth("folder", data, "train"), max_drop)
    return Quantization(Calibration.open(data / "images/train", None), subset, gate)


@pytest.fixture(scope="session", params=integer_formats())
def artifact(request, source, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifact") / request.param
    convert(source, ExportRequest(request.param, folder, quantization=quantization(data, max_drop=0.9)))
    return folder


def test_openvino_and_onnx_quantize():
    assert {"openvino", "onnx"} <= set(integer_formats())


def test_integers_are_executed_and_counted_layer_by_layer(artifact):
    manifest = Manifest.load(artifact)
    assert manifest.precision == "int8"
    assert "int8" in manifest.parity["executed_precision"]
    assert manifest.parity["layer_precisions"]["int8"] >= 1


def test_each_layer_is_named_with_the_precision_it_was_executed_in(artifact):
    parity = Manifest.load(artifact).parity
    layers = parity["executed_layers"]
    assert Counter(precision for _, precision in layers) == parity["layer_precisions"]
    names = [name for name, _ in layers]
    assert len(set(names)) == len(names)
    for layer in ("stem", "down", "up", "up_again", "classify"):
        assert any(layer in re.split(r"[./]", name) for name in names), f"{layer} is not in {names}"


def test_labels_mostly_agree_with_torch_and_the_share_is_recorded(artifact):
    parity = Manifest.load(artifact).parity
    assert 0.5 < parity["label_agreement"] <= 1
    assert "thresholds" not in parity


def test_the_gate_is_recorded_with_every_class(artifact):
    gate = Manifest.load(artifact).parity["gate"]
    assert gate["float_miou"] == 1.0
    assert gate["int8_miou"] == pytest.approx(1 - gate["drop"], abs=1e-5)
    assert set(gate["iou"]) == set(CLASSES.names)
    assert gate["frames"] == FRAMES


def test_the_manifest_names_the_calibration_set(artifact, data):
    said = Manifest.load(artifact).provenance["calibration"]
    assert said["used"] == said["frames"] == FRAMES
    assert said["sha256"] == Calibration.open(data / "images/train", None).describe()["sha256"]


def test_a_device_proves_itself_on_what_the_integers_gave_here(artifact):
    frame, labels = read_frame(artifact / "golden/frame.png"), read_labels(artifact / "golden/labels.png")
    (raw,) = outputs(artifact, [("golden", frame)])
    np.testing.assert_array_equal(raw[0], labels)


def test_a_loss_over_the_gate_is_refused_with_figures_and_leaves_nothing(source, data, tmp_path):
    request = ExportRequest("openvino", tmp_path / "a", quantization=quantization(data, max_drop=0.0))
    with pytest.raises(AccuracyGateError, match=r"absolute drop 0.*allowed 0\.0\. Most lost") as caught:
        convert(source, request)
    assert caught.value.exit_code == 4
    assert caught.value.figures["drop"] > 0
    assert list(tmp_path.iterdir()) == []


def test_the_command_shows_the_classes_of_a_gate_that_closed(source, data, tmp_path, capsys):
    words = ["convert", str(source.path), "--target", "openvino", "-o", str(tmp_path / "a"), "--int8"]
    words += ["--calibration", str(data / "images/train"), "--gate-data", "folder", "--gate-root", str(data)]
    assert main([*words, "--gate-split", "train", "--max-drop", "0", "--subset-size", "2"]) == 4
    said = capsys.readouterr()
    assert "side walk" in said.err
    assert said.err.splitlines()[-1].startswith("segfast-edge: the openvino artifact (int8) has mIoU")
    assert not (tmp_path / "a").exists()


def test_a_format_without_integers_says_which_have_them(source, data, tmp_path):
    with pytest.raises(ConversionError, match=r"torchscript has no int8.*openvino"):
        convert(source, ExportRequest("torchscript", tmp_path / "a", quantization=quantization(data)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "engine", "says"),
    [("onnx", "tensorr", "Did you mean 'tensorrt'"), ("openvino", "tensorrt", "the same for every engine")],
)
def test_an_engine_that_a_formats_int8_does_not_know_is_refused(source, data, tmp_path, name, engine, says):
    asked = replace(quantization(data), engine=engine)
    with pytest.raises(ConversionError, match=says):
        convert(source, ExportRequest(name, tmp_path / "a", quantization=asked))
    assert list(tmp_path.iterdir()) == []


def test_int8_for_tensorrt_is_held_to_torch_in_onnx_runtime_and_says_whom_it_is_for(source, data, tmp_path):
    asked = replace(quantization(data, max_drop=0.9), engine="tensorrt")
    manifest = convert(source, ExportRequest("onnx", tmp_path / "a", quantization=asked))
    assert manifest.provenance["engine"] == "tensorrt"
    assert manifest.provenance["lowering"] == "subpixel", "TensorRT has no grouped transposed convolution in int8"
    assert manifest.parity["label_agreement"] > 0.5


def test_more_frames_than_there_are_is_refused(source, data, tmp_path):
    with pytest.raises(DataError, match="300 calibration frames asked for; the list has 6"):
        convert(source, ExportRequest("openvino", tmp_path / "a", quantization=quantization(data, subset=300)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--int8"], "--int8 needs --calibration"),
        (["--calibration", "x"], "--calibration is for --int8"),
        (["--gate-data", "camvid"], "--gate-data is for --int8"),
        (["--engine", "tensorrt"], "--engine is for --int8"),
        (["--int8", "--calibration", "nowhere.json"], "--data-root"),
    ],
)
def test_words_that_do_not_fit_together_are_refused(source, tmp_path, capsys, words, says):
    assert main(["convert", str(source.path), "--target", "openvino", "-o", str(tmp_path / "a"), *words]) == 2
    assert says in capsys.readouterr().err


def test_a_drop_is_a_share():
    with pytest.raises(DataError, match=r"--max-drop 1\.5 is outside 0 to 1"):
        Gate(GroundTruth("scenes"), 1.5)


def test_layers_are_ranked_by_the_noise_that_int8_puts_on_the_logits(tmp_path, data):
    def spoil(weights):
        weights["up_again.weight"][:, 0] *= 1e-3
        weights["up_again.weight"][0, 0, 0, 0] = 30.0  # one weight takes all steps of its channel

    graph = PreparedNetwork(write_checkpoint(tmp_path / "spoilt.pt", spoil=spoil)).graph
    frames = [read_frame(data / f"images/train/{seed}.png") for seed in range(2)]
    before = graph(torch.from_numpy(frames[0].copy())[None])
    ranked = sensitivities(graph, frames)
    assert {each.layer for each in ranked} == {
        f"network.{name}" for name in ("stem.0", "down.0", "up.0", "up_again", "classify")
    }
    assert [each.noise for each in ranked] == sorted((each.noise for each in ranked), reverse=True)
    assert all(0 < each.noise < 1 for each in ranked)
    assert torch.equal(graph(torch.from_numpy(frames[0].copy())[None]), before), "the graph is as it was"


@pytest.mark.parametrize("enough", range(1, 8))
def test_the_fewest_that_pass_are_found(enough):
    asked = []

    def passes(count):
        asked.append(count)
        return count >= enough

    assert fewest(passes, 7) == enough
    assert len(asked) == len(set(asked)) <= 6


def test_none_is_found_where_none_passes():
    assert fewest(lambda _: False, 5) is None


@pytest.mark.parametrize("name", ["openvino", "onnx"])
def test_a_layer_that_is_kept_float_is_executed_in_float(source, data, tmp_path, name):
    request = ExportRequest(name, tmp_path / "a", lowering="subpixel", quantization=quantization(data))
    conversion = begin(source, request, exporter(name), tmp_path, lambda _: None)
    frames = [read_frame(data / "images/train/0.png")]
    executed = {}
    for kept in ((), ("network.classify", "network.up.0")):
        manifest = (
            exporter(name)
            .quantize(conversion.graph, conversion.draft, tmp_path, Int8Recipe(frames, kept))
            .save(tmp_path)
        )
        assert manifest.precision == "int8"
        with contextlib.closing(outputs(tmp_path, [("frame", frames[0])])) as found:
            list(found)
            layers = found.session["executed_layers"]
            executed[kept] = {name for name, precision in layers if precision == "float32"}
    more = executed["network.classify", "network.up.0"] - executed[()]
    assert len(more) == 2
    assert sorted(re.search(r"network\.(classify|up\.0)", name)[1] for name in more) == ["classify", "up.0"]


@pytest.mark.slow
def test_in_openvino_a_depthwise_convolution_behind_interleaved_phases_is_executed_in_integers(data, tmp_path):
    source = PreparedNetwork(write_checkpoint(tmp_path / "a.pt", "segfast_fast", size=(32, 48)))
    manifest = convert(source, ExportRequest("openvino", tmp_path / "a", quantization=quantization(data)))
    executed = {name: precision for name, precision in manifest.parity["executed_layers"] if ".fuse.depthwise" in name}
    assert len(executed) == 3
    assert set(executed.values()) == {"int8"}


def test_in_openvino_the_enlargement_at_the_end_stays_float(data, tmp_path):
    network = PreparedNetwork(write_checkpoint(tmp_path / "a.pt", "segfast_fast", size=(32, 48)))
    convert(network, ExportRequest("openvino", tmp_path / "a", quantization=quantization(data)))
    phases = [
        each
        for each in openvino.Core().read_model(tmp_path / "a" / "model.xml").get_ops()
        if each.get_friendly_name().startswith(RESAMPLING) and each.get_type_name() == "GroupConvolution"
    ]
    assert len(phases) == 4
    for each in phases:
        sources = [each.input_value(place).get_node() for place in (0, 1)]
        assert [source.get_type_name() for source in sources] == ["Pad", "Constant"]


def test_in_openvino_a_channel_shuffle_keeps_a_range_for_each_channel(data, tmp_path):
    source = PreparedNetwork(write_checkpoint(tmp_path / "a.pt", "tiny_export:shuffled"))
    convert(source, ExportRequest("openvino", tmp_path / "a", lowering="phases", quantization=quantization(data)))
    model = openvino.Core().read_model(tmp_path / "a" / "model.xml")
    (mixed,) = (op for op in model.get_ops() if op.get_type_name() == "Concat")
    quantizers = [source.get_source_output().get_node() for source in mixed.inputs()]
    assert [each.get_type_name() for each in quantizers] == ["FakeQuantize"] * 2
    assert [each.input(2).get_source_output().get_node().get_data().size for each in quantizers] == [4, 4]


def test_in_openvino_ranges_cut_nothing_off_and_the_first_layer_has_all_its_bits(source, data, tmp_path):
    convert(source, ExportRequest("openvino", tmp_path / "a", quantization=quantization(data)))
    model = openvino.Core().read_model(tmp_path / "a" / "model.xml")
    first = next(op for op in model.get_ordered_ops() if op.get_type_name() == "Convolution")
    entrance, weights = (first.input_value(place).get_node() for place in (0, 1))
    low, high = (float(entrance.input_value(place).get_node().get_data()) for place in (1, 2))
    frames = [read_frame(path) for path in sorted((data / "images/train").iterdir())]
    seen = [
        source.graph.normalise(torch.from_numpy(frame.copy())[None].permute(0, 3, 1, 2).float()) for frame in frames
    ]
    step = (high - low) / 255
    highest = [float(x.max()) for x in seen]
    assert max(highest) > sum(highest) / len(highest) + step  # else the mean of the frames' extremes would do as well
    assert low <= min(float(x.min()) for x in seen) + step
    assert high >= max(float(x.max()) for x in seen) - step
    while weights.get_type_name() != "Constant":  # integers, then what they stand for
        weights = weights.input_value(0).get_node()
    assert weights.get_data().dtype == np.int8
    assert set(np.abs(weights.get_data().astype(int)).max((1, 2, 3))) == {127}


def test_the_search_keeps_layers_float_until_the_gate_passes(data, tmp_path):
    source = PreparedNetwork(write_checkpoint(tmp_path / "two.pt", "tiny_export:two_layers"))
    for seed in range(FRAMES):  # the truth is what this network says
        labels = source.graph(torch.from_numpy(read_frame(data / f"images/train/{seed}.png").copy())[None])[0]
        (tmp_path / "own/labels/train").mkdir(parents=True, exist_ok=True)
        write_picture(tmp_path / f"own/labels/train/{seed}.png", labels.numpy())
    shutil.copytree(data / "images", tmp_path / "own/images")
    shutil.copy(data / "classes.json", tmp_path / "own")
    asked = replace(quantization(tmp_path / "own", max_drop=0.0), search=True)
    manifest = convert(source, ExportRequest("openvino", tmp_path / "a", quantization=asked))
    kept = [each["layer"] for each in manifest.parity["kept_float"]]
    assert kept
    assert set(kept) <= {"network.0", "network.2"}
    drops = manifest.parity["drop_by_layers_kept_float"]
    assert drops["0"] > 0
    assert drops[str(len(kept))] <= 0
    assert manifest.parity["layer_precisions"]["float32"] == len(kept)


@pytest.mark.parametrize("drop_type", ["absolute", "relative"])
def test_a_gate_on_data_that_the_float_network_gets_all_wrong_is_refused(source, data, tmp_path, drop_type):
    for kind in ("images", "classes.json"):
        (tmp_path / kind).symlink_to(data / kind)
    (tmp_path / "labels/train").mkdir(parents=True)
    for path in (data / "labels/train").iterdir():
        write_picture(tmp_path / "labels/train" / path.name, (read_labels(path) + 1) % len(CLASSES))
    gate = Gate(GroundTruth("folder", tmp_path, "train"), 0.5, drop_type)
    with pytest.raises(DataError, match=r"has mIoU 0\.0 on folder train \(6 frames\), so a gate would compare nothing"):
        convert(source, ExportRequest("tflite", tmp_path / "a", quantization=replace(quantization(data), gate=gate)))
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_a_search_that_finds_nothing_says_how_far_it_went_and_leaves_nothing(source, data, tmp_path):
    """With a drop of -1 nothing passes."""
    gate = Gate(GroundTruth("folder", data, "train"), 0.0)
    object.__setattr__(gate, "max_drop", -1.0)
    asked = replace(quantization(data), gate=gate, search=True)
    with pytest.raises(AccuracyGateError, match="with all 5 layers in float") as caught:
        convert(source, ExportRequest("tflite", tmp_path / "a", quantization=asked))
    assert set(caught.value.figures["iou"]) == set(CLASSES.names)
    assert list(tmp_path.iterdir()) == []


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
from segfast_edge.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.slow) if each != "tflite" else each for each in integer_formats()]
)
def test_a_disk_that_is_full_leaves_no_int8(source, data, tmp_path, name):
    """The kernel refuses bytes beyond a limit, as a full disk does, in the middle of the model file."""
    words = ["convert", str(source.path), "--target", name, "-o", str(tmp_path / "out"), "--int8"]
    words += ["--calibration", str(data / "images/train"), "--subset-size", "2"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_was_replaced_meanwhile_is_no_baseline(data, tmp_path):
    path = write_checkpoint(tmp_path / "tiny.pt")
    source = PreparedNetwork(path)
    write_checkpoint(path, "tiny_export:two_layers")
    with pytest.raises(ArtifactError, match="changed while it was being converted"):
        convert(source, ExportRequest("onnx", tmp_path / "a", quantization=quantization(data, max_drop=0.5)))
    assert not (tmp_path / "a").exists()
