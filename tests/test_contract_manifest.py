import hashlib
import json

import numpy as np
import pytest

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.manifest import Manifest, TensorSpec
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.report import percentile
from segfast_edge.contract.shared.files import read_json, replacing_file, replacing_folder, sha256, write_json
from segfast_edge.errors import ArtifactError

CLASSES = ClassSet(("road", "car"), ((1, 2, 3), (4, 5, 6)))
INPUT = TensorSpec("frame", (1, 32, 32, 3), "uint8", "NHWC")
OUTPUT = TensorSpec("labels", (1, 32, 32), "uint8", "NHW")


@pytest.fixture
def artifact(tmp_path):
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"weights")
    Manifest("onnx", INPUT, OUTPUT, "labels", Preprocess(32, 32), CLASSES).save(folder)
    return folder


def edit(artifact, **changes):
    path = artifact / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_manifest_reads_back_equal(artifact):
    manifest = Manifest.load(artifact)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert list(manifest.files) == ["model.onnx"]


def test_a_changed_or_missing_file_is_refused(artifact):
    (artifact / "model.onnx").write_bytes(b"weighTs")
    with pytest.raises(ArtifactError, match="sha256 differs"):
        Manifest.load(artifact)
    (artifact / "model.onnx").unlink()
    with pytest.raises(ArtifactError, match=r"lacks model\.onnx"):
        Manifest.load(artifact)


@pytest.mark.parametrize("size", [0, 5, 1 << 20, (1 << 20) + 1, 16 << 20])
def test_a_checksum_is_sha256_whichever_library_computes_it(tmp_path, size):
    (tmp_path / "file").write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    assert sha256(tmp_path / "file") == hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "schema version 99"),
        ({"format": "caffe"}, "unknown format 'caffe'"),
        ({"classes": {"names": ["a"], "palette": [[0, 0, 0]], "ignored": None}}, "1 classes"),
        ({"files": {}}, "no checksum"),
        ({"files": {"../../etc/passwd": "0"}}, "leads out"),
        ({"files": None}, "not valid"),
        ({"input": {"name": "x", "shape": [1, 8, 8, 3], "dtype": "uint8", "layout": "NHWC"}}, "expected uint8"),
        ({"preprocess": {"height": 32}}, "not valid"),
    ],
)
def test_a_manifest_that_is_off_is_one_clear_error(artifact, changes, message):
    edit(artifact, **changes)
    with pytest.raises(ArtifactError, match=message):
        Manifest.load(artifact)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "[" * 5000])
def test_json_that_is_no_object_is_one_clear_error(artifact, text):
    (artifact / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match="manifest"):
        Manifest.load(artifact)


def test_a_folder_without_a_manifest_is_no_artifact(tmp_path):
    with pytest.raises(ArtifactError, match="does not exist"):
        Manifest.load(tmp_path)
    with pytest.raises(ArtifactError, match="no artifact folder"):
        Manifest.load(tmp_path / "none")


def test_a_failure_while_writing_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_only_when_asked_and_only_when_whole(tmp_path):
    folder = tmp_path / "out"
    with replacing_folder(folder) as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(ArtifactError, match="--overwrite"), replacing_folder(folder):
        pass
    with pytest.raises(RuntimeError), replacing_folder(folder, overwrite=True) as temporary:
        raise RuntimeError
    assert (folder / "a").read_text() == "1"
    with replacing_folder(folder, overwrite=True) as temporary:
        (temporary / "b").write_text("2")
    assert [p.name for p in folder.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_json_refuses_values_that_json_does_not_have(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    write_json(tmp_path / "a.json", {"a": 1})
    assert read_json(tmp_path / "a.json", "file") == {"a": 1}


@pytest.mark.parametrize("rank", [0, 12.5, 50, 90, 99, 100])
def test_percentiles_are_numpys(rank):
    samples = list(np.random.default_rng(2).normal(size=37))
    assert percentile(samples, rank) == pytest.approx(np.percentile(samples, rank))
