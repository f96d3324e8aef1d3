import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_artifacts
from tiny_training import DATA, PAPER, Recorder, run, settings

from segfast_edge.contract.shared.images import write_picture
from segfast_edge.errors import ArtifactError, DataError, SegfastError
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.convert import convert
from segfast_edge.prediction.evaluate import GroundTruth, evaluate
from segfast_edge.prediction.metrics import DEFINITION
from segfast_edge.prediction.predictor import open_predictor

NAMES = ["road", "car", "sky", "tree", "person"]


def silent(done, total):
    pass


def figures(path, **truth):
    return evaluate(open_predictor(path, device="cpu"), GroundTruth(**truth), silent).to_json()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training of a tiny network, and what it measured on val itself."""
    folder, recorder = tmp_path_factory.mktemp("trained"), Recorder()
    outcome = run(settings(PAPER.changed({"epochs": 4, "lr": 1e-2})), folder / "run", recorder)
    return folder / "run/best.pt", recorder.records[outcome.best_epoch - 1]


@pytest.fixture
def labelled(tmp_path):
    """Five frames whose labels the tiny artifact gives exactly, except for a corner of one, which it gets wrong."""
    root = tmp_path / "data"
    for part in ("images", "labels"):
        (root / part / "val").mkdir(parents=True)
    (root / "classes.json").write_text(json.dumps({"names": NAMES, "ignored": 255}))
    for seed in range(5):
        frame = tiny_artifacts.frame(tiny_artifacts.HEIGHT, tiny_artifacts.WIDTH, seed)
        labels = tiny_artifacts.expected(frame[np.newaxis])[0]
        if seed == 0:
            labels[:4, :6] = (labels[:4, :6] + 1) % 5
            labels[-1] = 255
        write_picture(root / f"images/val/{seed}.png", frame)
        write_picture(root / f"labels/val/{seed}.png", labels)
    return root


def test_a_checkpoint_gets_the_figures_that_training_measured(trained):
    path, record = trained
    found = figures(path, data=DATA)
    assert {key: found[key] for key in record["val"]} == record["val"]
    assert found["protocol"] == record["protocol"] == "paper: 32x48, 12 classes, void counted as a class"
    assert found["definition"] == DEFINITION


def test_an_exported_artifact_gets_the_figures_of_its_checkpoint(trained, tmp_path):
    path, record = trained
    convert(PreparedNetwork(path), ExportRequest("torchscript", tmp_path / "model", "logits"))
    found = figures(tmp_path / "model", data=DATA)
    assert found["miou"] == pytest.approx(record["val"]["miou"], abs=1e-3)
    assert found["protocol"] == record["protocol"]
    assert found["subject"] == "torchscript artifact (float32)"


def test_an_artifact_is_counted_pixel_by_pixel_against_the_labels(labelled, tmp_path):
    artifact = tiny_artifacts.write_artifact(tmp_path / "model", "onnx")
    found = figures(artifact, data="folder", root=labelled, protocol="standard")
    pixels = 5 * tiny_artifacts.HEIGHT * tiny_artifacts.WIDTH - tiny_artifacts.WIDTH
    assert found["pixels"] == pixels
    assert found["pixel_accuracy"] == pytest.approx(1 - 24 / pixels, abs=1e-6)
    assert found["protocol"] == "standard: 32x48, 5 classes, void ignored, compared at each picture's own size"
    assert found["frames"] == 5


def test_an_artifact_without_protocol_must_be_told_one(labelled, tmp_path):
    artifact = tiny_artifacts.write_null_artifact(tmp_path / "model")
    with pytest.raises(SegfastError, match="does not name its protocol; pass --protocol"):
        figures(artifact, data="folder", root=labelled)


def test_other_classes_than_the_networks_are_refused(trained, labelled, tmp_path):
    path, _ = trained
    with pytest.raises(DataError, match="12 classes and scenes under protocol standard has 11"):
        figures(path, data=DATA, protocol="standard")
    with pytest.raises(DataError, match="12 classes and folder under protocol paper has 6"):
        figures(path, data="folder", root=labelled)
    (labelled / "classes.json").write_text(json.dumps({"names": ["road", "bus", *NAMES[2:]]}))
    artifact = tiny_artifacts.write_null_artifact(tmp_path / "model")
    with pytest.raises(DataError, match="class 1 is 'car' in the network and 'bus' in folder"):
        figures(artifact, data="folder", root=labelled, protocol="standard")


def test_wrong_input_is_refused_by_name(trained, tmp_path):
    path, _ = trained
    with pytest.raises(ArtifactError, match=r"no checkpoint file or artifact folder at .*missing"):
        open_predictor(tmp_path / "missing")
    with pytest.raises(ArtifactError, match="manifest"):
        open_predictor(tmp_path)
    (tmp_path / "cut.pt").write_bytes(path.read_bytes()[:500])
    with pytest.raises(ArtifactError, match=r"cut\.pt"):
        open_predictor(tmp_path / "cut.pt")
    with pytest.raises(DataError, match="Did you mean 'val'"):
        figures(path, data=DATA, split="vall")
    with pytest.raises(DataError, match="unknown protocol"):
        figures(path, data=DATA, protocol="own")


def test_the_verb_prints_json_and_writes_it_to_a_file(trained, tmp_path):
    path, record = trained
    words = [sys.executable, "-m", "segfast_edge", "evaluate", str(path), "--data", DATA, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*words, "--output", str(tmp_path / "f.json")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "f.json").read_text())
    assert json.loads(done.stdout)["miou"] == record["val"]["miou"]


def test_labels_are_compared_at_each_pictures_own_size_unless_the_networks_is_asked_for(tmp_path):
    """A plain picture of twice the network's size, a quarter of its pixels labelled otherwise."""
    root = tmp_path / "data"
    for part in ("images", "labels"):
        (root / part / "val").mkdir(parents=True)
    (root / "classes.json").write_text(json.dumps({"names": NAMES, "ignored": 255}))
    plain = np.full((tiny_artifacts.HEIGHT, tiny_artifacts.WIDTH, 3), (200, 30, 90), np.uint8)
    label = tiny_artifacts.expected(plain[np.newaxis])[0, 0, 0]
    labels = np.full((2 * tiny_artifacts.HEIGHT, 2 * tiny_artifacts.WIDTH), label, np.uint8)
    labels[1::2, 1::2] = (label + 1) % 5
    write_picture(root / "images/val/0.png", plain.repeat(2, 0).repeat(2, 1))
    write_picture(root / "labels/val/0.png", labels)
    artifact = tiny_artifacts.write_artifact(tmp_path / "model", "onnx")
    truth = {"data": "folder", "root": root, "protocol": "standard"}
    own, network = figures(artifact, **truth), figures(artifact, **truth, size="network")
    assert own["pixel_accuracy"] == pytest.approx(0.75)
    assert network["pixel_accuracy"] in (0.0, 1.0)
    assert own["pixels"] == 4 * network["pixels"]
    assert own["protocol"].endswith("compared at each picture's own size")
    assert own["worst"][0]["picture"] == "0"
    with pytest.raises(SegfastError, match=r"unknown size 'onw'\. Did you mean 'own'"):
        figures(artifact, **truth, size="onw")


def test_averaging_over_a_flip_makes_a_network_blind_to_left_and_right(trained, tmp_path):
    """A picture and its mirror image get mirrored labels, which a network alone does not promise."""
    path, _ = trained
    frame = tiny_artifacts.frame(32, 48, 3)
    found = []
    for averaged in ((), ("flip",)):
        predictor = open_predictor(path, device="cpu", averaged=averaged)
        with predictor.labels([("one", frame), ("other", np.ascontiguousarray(frame[:, ::-1]))]) as labels:
            one, other = labels
        found.append((one == other[:, ::-1]).mean())
    assert found[0] < 1
    assert found[1] > 0.999
    scaled = open_predictor(path, device="cpu", averaged=("flip", "scales"))
    assert "averaged over flip and scales" in scaled.described
    with scaled.labels([("one", frame)]) as labels:
        assert next(labels).shape == (32, 48)
    artifact = tiny_artifacts.write_null_artifact(tmp_path / "model")
    with pytest.raises(SegfastError, match="--tta needs a checkpoint"):
        open_predictor(artifact, averaged=("flip",))
