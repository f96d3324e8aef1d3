"""Files that version 0.1 wrote still load, run and give the labels that they gave.

They stay as they are. One that a later version cannot read any more gets a test of the one line that says so.
``tests/fixtures/version_0_1/README.md`` says how they were made.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segfast_edge.cli import main
from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS, Manifest
from segfast_edge.contract.report import read_reports
from segfast_edge.contract.shared.images import read_frame, read_labels
from segfast_edge.device.spawn import outputs
from segfast_edge.prediction.predictor import open_predictor
from targets.install.trust import Trust
from targets.install.unpack import unpack

OLD = Path(__file__).parent / "fixtures" / "version_0_1"
ARTIFACTS = sorted(path.parent for path in OLD.rglob("manifest.json"))


def test_there_is_one_of_each_kind():
    kept = {path.relative_to(OLD).as_posix() for path in ARTIFACTS}
    in_float = {f"float/{name}" for name in ("onnx", "openvino", "tflite", "torchscript")}
    assert kept == in_float | {f"int8/{name}" for name in ("onnx", "openvino", "tflite")}


@pytest.mark.parametrize("artifact", ARTIFACTS, ids=lambda path: path.relative_to(OLD).as_posix())
def test_an_old_artifact_gives_its_old_labels_in_a_fresh_process(artifact):
    manifest, golden = Manifest.load(artifact), read_labels(artifact / GOLDEN_LABELS)
    frame = read_frame(artifact / GOLDEN_FRAME)
    (labels,) = list(outputs(artifact, [("golden", frame)], threads=1))
    agreement = float((labels[0] == golden).mean())
    # the integer kernels of processors with and without dot products round differently
    assert agreement >= (0.99 if manifest.precision == "int8" else 1.0)
    assert len(np.unique(golden)) > 2


def test_an_old_checkpoint_gives_its_old_labels():
    artifact = OLD / "float/onnx"
    frame = read_frame(artifact / GOLDEN_FRAME)
    with open_predictor(OLD / "checkpoint.pt", device="cpu").labels([("golden", frame)]) as found:
        (labels,) = list(found)
    np.testing.assert_array_equal(labels, read_labels(artifact / GOLDEN_LABELS))


def test_an_old_bundle_unpacks_and_proves_itself_with_the_code_in_it(tmp_path):
    opened = unpack(OLD / "bundle.tar.gz", Trust((), unsigned=True), tmp_path)
    assert (opened.listing.target, opened.listing.format, opened.listing.version) == ("x86", "tflite", "0.1.0")
    run = [sys.executable, tmp_path / "run.py", "--self-test", "--threads", "1"]
    done = subprocess.run(run, capture_output=True, text=True, cwd="/")
    assert (done.returncode, done.stdout) == (0, "golden frame: 100.000% of labels agree, engine litert\n"), done.stderr


def test_an_old_profile_is_read_compared_and_drawn(tmp_path, capsys):
    written = json.loads((OLD / "profile.json").read_text())["reports"]
    read = read_reports(OLD / "profile.json")
    assert [report.latency.p50_ms for report in read] == [each["latency"]["p50_ms"] for each in written]
    assert [report.engine for report in read] == ["onnxruntime", "litert"]
    old = str(OLD / "profile.json")
    assert main(["compare", old, old, "--json"]) == 0
    assert [each["ratio"] for each in json.loads(capsys.readouterr().out)] == [1.0, 1.0]
    assert main(["report", old, "-o", str(tmp_path / "page.html")]) == 0
    assert "tflite" in (tmp_path / "page.html").read_text()
