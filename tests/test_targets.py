"""The device side: targets, engines, and the run loop."""

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_artifacts as tiny
from PIL import Image

from segfast_edge.contract.engines import engine_names
from segfast_edge.contract.formats import format_named, formats_of
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.masks import labels_of, mask_at
from segfast_edge.contract.shared.images import read_frame, read_labels, write_picture
from segfast_edge.device.code import device_code, target_names
from segfast_edge.errors import ArtifactError, DataError, TargetError
from targets.common.segment import parse_outputs
from targets.common.session import CheckedSession, Options, import_runtime, installed
from targets.common.target import choose_engine, open_artifact, target, targets


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("artifacts")
    return {name: tiny.write_artifact(folder / name, name) for name in tiny.FORMATS}


@pytest.fixture(scope="module")
def code(tmp_path_factory) -> Path:
    return device_code(tmp_path_factory.mktemp("device"))


def run_device(code: Path, *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "targets", *map(str, words)]
    return subprocess.run(command, cwd=code, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("name", targets())
def test_each_target_is_named_as_its_file_and_serves_formats_with_engines_that_open_them(name):
    found = target(name)
    assert found.name == name
    assert found.formats()
    for model_format in found.formats():
        assert all(model_format in formats_of(each) for each in found.engines(model_format))


def test_the_toolkit_finds_the_targets_by_listing():
    assert target_names() == targets()


ENGINE_FORMATS = [(name, each) for name in engine_names() if name != "null" for each in formats_of(name)]


@pytest.mark.parametrize(("name", "model_format"), ENGINE_FORMATS)
def test_each_engine_gives_the_labels_that_numpy_gives(name, model_format, artifacts):
    if not installed(name):
        pytest.skip(f"engine {name} is not installed")
    session = open_artifact(target("x86"), artifacts[model_format], Options(threads=1), name)
    for seed in range(3):
        batch = tiny.frame(tiny.HEIGHT, tiny.WIDTH, seed)[np.newaxis]
        np.testing.assert_array_equal(session.run(batch), tiny.expected(batch))
    facts = session.facts()
    assert facts["executed_precision"] == "float32"
    assert facts["versions"]["numpy"] == np.__version__


@pytest.mark.parametrize("name", [name for name in engine_names() if installed(name)])
def test_an_output_stays_as_it_was_when_the_next_frame_runs(name, artifacts):
    model_format = formats_of(name)[0]
    session = open_artifact(target("x86"), artifacts[model_format], Options(threads=1), name)
    first = session.run(tiny.frame(tiny.HEIGHT, tiny.WIDTH, 1)[np.newaxis])
    kept = first.copy()
    session.run(tiny.frame(tiny.HEIGHT, tiny.WIDTH, 2)[np.newaxis])
    np.testing.assert_array_equal(first, kept)


def test_openvino_runs_float32_unless_bfloat16_is_asked_for(artifacts):
    plain = open_artifact(target("x86"), artifacts["openvino"], Options(threads=1))
    asked = open_artifact(target("x86"), artifacts["openvino"], Options(threads=1, precision="bf16"))
    assert plain.facts()["executed_precision"] == "float32"
    # a processor without bfloat16 runs float32 instead, and has to say so
    assert asked.facts()["executed_precision"] in ("bfloat16", "float32")


def test_onnx_runtime_tells_int8_by_the_kernels_it_ran(tmp_path):
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Frames(CalibrationDataReader):
        def __init__(self) -> None:
            self.frames = iter(range(4))

        def get_next(self):
            seed = next(self.frames, None)
            return None if seed is None else {"image": tiny.frame(tiny.HEIGHT, tiny.WIDTH, seed)[np.newaxis]}

    artifact = tiny.write_artifact(tmp_path / "a", "onnx")
    quantize_static(artifact / "model.onnx", tmp_path / "q.onnx", Frames(), op_types_to_quantize=["Conv"])
    (tmp_path / "q.onnx").replace(artifact / "model.onnx")
    replace(tiny.manifest("onnx"), precision="int8").save(artifact)
    session = open_artifact(target("x86"), artifact, Options(threads=1))
    assert session.facts()["executed_precision"] == "int8"


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, tiny.HEIGHT, tiny.WIDTH, 3), np.float32),
        np.zeros((1, tiny.HEIGHT, tiny.WIDTH + 1, 3), np.uint8),
        np.zeros((tiny.HEIGHT, tiny.WIDTH, 3), np.uint8),
        [[0]],
    ],
    ids=["float", "wrong width", "no batch axis", "a list"],
)
def test_a_session_refuses_an_input_of_another_kind(batch, tmp_path):
    session = open_artifact(target("null"), tiny.write_null_artifact(tmp_path / "a"), Options())
    with pytest.raises(DataError, match=r"expected uint8 \(1, 32, 48, 3\)"):
        session.run(batch)


def test_a_session_refuses_an_output_that_its_manifest_does_not_promise(artifacts):
    session = open_artifact(target("x86"), artifacts["onnx"], Options())
    promised = replace(session.manifest.output, dtype="float32")
    lied_to = CheckedSession(session.session, replace(session.manifest, output=promised), "onnxruntime")
    with pytest.raises(TargetError, match=r"onnxruntime gave uint8 .* the manifest says float32"):
        lied_to.run(tiny.frame(tiny.HEIGHT, tiny.WIDTH)[np.newaxis])


def test_the_null_engine_gives_labels_from_the_pixels_and_logits_that_agree(tmp_path):
    batch = tiny.frame(tiny.HEIGHT, tiny.WIDTH)[np.newaxis]
    of_pixels = batch.astype(int).sum(axis=3) % tiny.CLASSES
    labels = open_artifact(target("null"), tiny.write_null_artifact(tmp_path / "a"), Options()).run(batch)
    logits = open_artifact(
        target("null"), tiny.write_null_artifact(tmp_path / "b", output_kind="logits"), Options()
    ).run(batch)
    np.testing.assert_array_equal(labels, of_pixels)
    np.testing.assert_array_equal(logits.argmax(axis=3), of_pixels)


def test_a_tampered_torchscript_file_is_refused_before_it_is_opened(artifacts, tmp_path):
    folder = tiny.write_artifact(tmp_path / "a", "torchscript")
    (folder / "model.ts").write_bytes((folder / "model.ts").read_bytes() + b"\0")
    with pytest.raises(ArtifactError, match="sha256 differs"):
        open_artifact(target("x86"), folder, Options())


@pytest.mark.parametrize("model_format", tiny.FORMATS)
def test_a_model_file_that_is_none_is_one_clear_error(model_format, tmp_path):
    (tmp_path / format_named(model_format).model_file).write_bytes(b"this is no model at all")
    tiny.manifest(model_format).save(tmp_path)
    with pytest.raises(ArtifactError, match=f"cannot open .*{format_named(model_format).model_file}"):
        open_artifact(target("x86"), tmp_path, Options())


def test_an_engine_for_another_format_is_refused(artifacts):
    with pytest.raises(TargetError, match="engine litert does not open onnx; it opens tflite"):
        open_artifact(target("x86"), artifacts["onnx"], Options(), "litert")


def test_an_unknown_engine_suggests_the_nearest(artifacts):
    with pytest.raises(TargetError, match="Did you mean 'openvino'"):
        open_artifact(target("x86"), artifacts["onnx"], Options(), "openvno")


def test_a_precision_is_refused_by_engines_that_run_what_the_file_holds(artifacts):
    with pytest.raises(TargetError, match="runs the precision that the file holds"):
        open_artifact(target("x86"), artifacts["tflite"], Options(precision="bf16"))


def test_options_out_of_range_are_refused():
    with pytest.raises(TargetError, match="-1 threads"):
        Options(threads=-1)
    with pytest.raises(TargetError, match="Did you mean 'bf16'"):
        Options(precision="bf-16")


def test_a_missing_runtime_says_what_to_install(monkeypatch):
    for package in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        TargetError,
        match=r"ai_edge_litert\S* is missing\. Run: pip install 'ai-edge-litert>=1.2' or pip install tflite",
    ):
        import_runtime("litert")


def test_int8_for_openvino_is_refused_on_arm_boards():
    manifest = replace(tiny.manifest("openvino"), precision="int8")
    with pytest.raises(TargetError, match="no working int8 on ARM"):
        choose_engine(target("rpi"), manifest)
    assert choose_engine(target("x86"), manifest)[0] == "openvino"


def test_a_format_that_a_target_does_not_run_is_refused():
    with pytest.raises(TargetError, match=r"does not use a Jetson's GPU\. Convert again for one of .*onnx"):
        choose_engine(target("jetson"), tiny.manifest("openvino"))


def test_a_label_that_no_class_has_is_an_error():
    labels = np.full((1, 4, 4), 17, np.uint8)
    with pytest.raises(TargetError, match="label 17; it has 5 classes"):
        labels_of(labels, tiny.manifest("onnx"))


def test_outputs_to_write_are_checked():
    assert parse_outputs("raw, mask") == ("raw", "mask")
    with pytest.raises(TargetError, match="Did you mean 'overlay'"):
        parse_outputs("overlays")
    with pytest.raises(TargetError, match="nothing to write"):
        parse_outputs(",")


def test_run_writes_masks_at_the_frame_size_and_the_raw_output(code, artifacts, tmp_path):
    frame = tiny.frame(40, 60)
    (tmp_path / "in").mkdir()
    write_picture(tmp_path / "in" / "a.png", frame)
    write_picture(tmp_path / "in" / "b.png", tiny.frame(70, 90, 1))
    words = ["x86", "run", artifacts["tflite"], tmp_path / "in", "--out", tmp_path / "out"]
    done = run_device(code, *words, "--write", "raw,mask,colour,overlay", "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        f"{name}.{kind}" for name in "ab" for kind in ("npy", "mask.png", "colour.png", "overlay.png")
    )
    manifest = Manifest.load(artifacts["tflite"])
    raw = np.load(tmp_path / "out" / "a.npy")
    np.testing.assert_array_equal(raw, tiny.expected(manifest.preprocess.image(frame)[np.newaxis]))
    mask = read_labels(tmp_path / "out" / "a.mask.png")
    np.testing.assert_array_equal(mask, mask_at(raw[0], (40, 60)))
    assert read_frame(tmp_path / "out" / "b.overlay.png").shape == (70, 90, 3)


def test_run_as_json_ends_with_what_ran_and_that_torch_did_not(code, artifacts, tmp_path):
    write_picture(tmp_path / "a.png", tiny.frame())
    done = run_device(code, "x86", "run", artifacts["onnx"], tmp_path / "a.png", "--out", tmp_path / "out", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["input"] == str(tmp_path / "a.png")
    assert lines[-1]["session"]["engine"] == "onnxruntime"
    assert lines[-1]["session"]["torch_imported"] is False


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("x68", "run", "ARTIFACT", "a.png", "--out", "o"), "unknown target 'x68'. Did you mean 'x86'"),
        (("null", "run", "nowhere", "a.png", "--out", "o"), "no artifact folder at nowhere"),
        (("null", "run", "ARTIFACT", "missing.png", "--out", "o"), "no such image: missing.png"),
        (("null", "run", "ARTIFACT", ".", "--out", "o"), "no picture in ."),
        (("null", "run", "ARTIFACT", "a.png", "--out", "/proc/no"), "cannot write /proc/no"),
        (("null", "run", "ARTIFACT"), "required"),
        (("null", "run", "ARTIFACT", "a.png", "--out", "o", "--threads", "-3"), "-3 threads"),
    ],
    ids=["target", "artifact", "picture", "empty folder", "unwritable", "usage", "threads"],
)
def test_bad_words_are_one_line_and_exit_2(words, says, code, tmp_path):
    artifact = str(tiny.write_null_artifact(tmp_path / "artifact"))
    done = run_device(code, *(artifact if word == "ARTIFACT" else word for word in words))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr


def test_a_picture_of_another_mode_is_refused_unless_conversion_is_asked_for(code, tmp_path):
    artifact = tiny.write_null_artifact(tmp_path / "artifact")
    Image.new("L", (20, 20)).save(tmp_path / "grey.png")
    words = ["null", "run", artifact, tmp_path / "grey.png", "--out", tmp_path / "out"]
    refused = run_device(code, *words)
    assert refused.returncode == 2
    assert "greyscale" in refused.stderr
    assert not list((tmp_path / "out").glob("*"))
    assert run_device(code, *words, "--convert-rgb").returncode == 0


def test_the_device_code_is_light_and_reads_as_python_3_10(code):
    """JetPack 6 brings Python 3.10."""
    heavy = {"torch", "torchvision", "rich", "matplotlib", "jinja2"}
    for path in sorted(code.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
        names = [
            alias.name if isinstance(node, ast.Import) else node.module or ""
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        ]
        assert not heavy & {name.partition(".")[0] for name in names}, path
        ours = {name.split(".")[1] for name in names if name.startswith("segfast_edge.")}
        assert ours <= {"contract", "errors"}, path
