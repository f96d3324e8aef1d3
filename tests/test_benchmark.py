"""The table of formats and precisions, its figures held to the verbs that measure one thing each."""

import json

import numpy as np
import pytest
import tiny_artifacts
import tiny_export

from segfast_edge.cli import main
from segfast_edge.contract.manifest import GOLDEN_LABELS
from segfast_edge.contract.shared.images import write_picture

DATA = "scenes:size=32x48,train=4,val=3"


def table(capsys, *words):
    assert main(["benchmark", *map(str, words), "--min-secs", "0.05", "--threads", "1", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return tiny_artifacts.write_artifact(tmp_path_factory.mktemp("artifact") / "model", "onnx")


@pytest.fixture
def own_data(tmp_path):
    """Three pictures, labelled as the tiny network labels them."""
    for number in range(3):
        frame = tiny_artifacts.frame(tiny_artifacts.HEIGHT, tiny_artifacts.WIDTH, number)
        labels = tiny_artifacts.expected(frame[np.newaxis])[0]
        for kind, pixels in (("images", frame), ("labels", labels)):
            (tmp_path / f"data/{kind}/val").mkdir(parents=True, exist_ok=True)
            write_picture(tmp_path / f"data/{kind}/val/{number}.png", pixels)
    (tmp_path / "data/classes.json").write_text('{"names": ["road", "car", "sky", "tree", "person"]}')
    return tmp_path / "data"


def test_an_artifact_is_one_row_of_what_evaluate_and_its_golden_frame_say(artifact, own_data, capsys):
    (row,) = table(capsys, artifact, "--data", "folder", "--data-root", own_data, "--protocol", "standard")
    assert (row["format"], row["precision"], row["problem"]) == ("onnx", "float32", "")
    assert row["miou"] == 1.0
    assert row["agreement"] == 1.0
    assert row["file_bytes"] == (artifact / "model.onnx").stat().st_size
    assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert row["valid"] in (True, False)
    assert bool(row["reasons"]) is not row["valid"]


def test_labels_that_differ_from_the_golden_frames_are_counted(own_data, tmp_path, capsys):
    artifact = tiny_artifacts.write_artifact(tmp_path / "model", "onnx")
    labels = tiny_artifacts.expected(tiny_artifacts.frame(tiny_artifacts.HEIGHT, tiny_artifacts.WIDTH)[np.newaxis])[0]
    labels[: tiny_artifacts.HEIGHT // 4] = (labels[: tiny_artifacts.HEIGHT // 4] + 1) % tiny_artifacts.CLASSES
    write_picture(artifact / GOLDEN_LABELS, labels)
    tiny_artifacts.manifest("onnx").save(artifact)
    (row,) = table(capsys, artifact, "--data", "folder", "--data-root", own_data, "--protocol", "standard")
    assert row["agreement"] == 0.75


def test_data_of_other_classes_leave_the_accuracy_out_and_say_why(artifact, capsys):
    (row,) = table(capsys, artifact, "--data", DATA, "--protocol", "standard")
    assert row["miou"] is None
    assert "the network has" in row["problem"]
    assert row["p50_ms"] > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_checkpoint_is_a_row_in_torch_and_one_for_every_format_and_precision(tmp_path, capsys):
    path = tiny_export.write_checkpoint(tmp_path / "tiny.pt")
    rows = table(capsys, path, "--data", DATA, "--formats", "onnx", "--calibration-frames", "2")
    assert [(row["format"], row["precision"]) for row in rows] == [
        ("torch", "float32"),
        ("onnx", "float32"),
        ("onnx", "int8"),
    ]
    for row in rows[1:]:
        assert row["agreement"] == pytest.approx(1.0, abs=0.1 if row["precision"] == "int8" else 0)
        assert row["file_bytes"] > 0
        assert row["p50_ms"] > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_format_that_fails_is_a_row_with_its_reason_and_does_not_end_the_rest(tmp_path, capsys):
    path = tiny_export.write_checkpoint(tmp_path / "odd.pt", "tiny_export:odd")
    rows = table(capsys, path, "--data", DATA, "--precisions", "float32", "--formats", "onnx,torchscript")
    failed = {row["format"]: row["problem"] for row in rows if row["file_bytes"] is None}
    assert "svd" in failed["onnx"]
    assert main(["benchmark", str(path), "--data", DATA, "--precisions", "float32", "--formats", "onnx"]) == 0
    shown = capsys.readouterr().out
    assert "failed" in shown
    assert "svd" in shown


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["--formats", "onx"], "onnx"), (["--precisions", "int88"], "int8"), (["--formats", ","], "no f")],
)
def test_what_is_not_known_is_one_line(artifact, words, meant, capsys):
    assert main(["benchmark", str(artifact), *words]) == 2
    assert meant in capsys.readouterr().err


def test_the_artifacts_are_kept_in_a_new_folder_if_asked(artifact, tmp_path, capsys):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/mine.txt").write_text("keep me")
    assert main(["benchmark", str(artifact), "--data", DATA, "--keep", str(tmp_path / "kept")]) == 2
    assert "exists already" in capsys.readouterr().err


def test_the_page_has_every_row_and_a_plot_of_those_that_were_measured(artifact, own_data, tmp_path, capsys):
    page = tmp_path / "page.html"
    words = ("--data", "folder", "--data-root", own_data, "--protocol", "standard", "--page", page)
    rows = table(capsys, artifact, artifact, *words)
    text = page.read_text()
    assert text.count('<tr><th scope="row">onnx</th><td class="word">float32</td>') == len(rows) == 2
    assert text.count(f"<td>{rows[0]['miou']:.4f}</td>") == 2
    assert text.count(">valid</span>") == sum(row["valid"] for row in rows)
    assert "mIoU over latency" in text
    (tmp_path / "folder").mkdir()
    assert main(["benchmark", str(artifact), "--page", str(tmp_path / "folder")]) == 2  # before anything is measured
    assert capsys.readouterr().err == f"segfast-edge: cannot write {tmp_path / 'folder'}: it is a folder\n"
