"""The device code as a fresh process: outputs in order, no torch, errors as one line, nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny_artifacts as tiny

from segfast_edge.contract.manifest import Manifest
from segfast_edge.device.code import device_code
from segfast_edge.device.spawn import outputs
from segfast_edge.errors import ArtifactError, DataError, TargetError


def frames(count: int):
    return [(f"frame {index}", tiny.frame(30 + 7 * index, 50 + 3 * index, index)) for index in range(count)]


def device_folders() -> set[str]:
    return {p.name for p in Path(os.environ.get("TMPDIR", "/tmp")).glob("segfast-*")}


def children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_outputs_come_in_the_frames_order_for_frames_of_any_size(count, tmp_path):
    artifact = tiny.write_null_artifact(tmp_path / "a")
    preprocess = Manifest.load(artifact).preprocess
    given = frames(count)
    found = list(outputs(artifact, given, target="null"))
    assert len(found) == count
    for (_, frame), raw in zip(given, found, strict=True):
        expected = preprocess.image(frame)[np.newaxis].astype(int).sum(axis=3) % tiny.CLASSES
        np.testing.assert_array_equal(raw, expected)


@pytest.mark.parametrize("model_format", tiny.FORMATS)
def test_every_format_runs_in_a_process_of_its_own_and_only_torchscript_with_torch(model_format, tmp_path):
    artifact = tiny.write_artifact(tmp_path / "a", model_format)
    frame = tiny.frame(tiny.HEIGHT, tiny.WIDTH)
    running = outputs(artifact, [("frame", frame)], threads=1)
    (raw,) = running
    np.testing.assert_array_equal(raw, tiny.expected(frame[np.newaxis]))
    assert running.session["executed_precision"] == "float32"
    assert running.session["torch_imported"] is (model_format == "torchscript")


def test_logits_come_as_float32_in_nhwc(tmp_path):
    artifact = tiny.write_null_artifact(tmp_path / "a", output_kind="logits")
    (raw,) = outputs(artifact, frames(1), target="null")
    assert raw.dtype == np.float32
    assert raw.shape == (1, tiny.HEIGHT, tiny.WIDTH, tiny.CLASSES)


def test_frames_are_taken_as_the_process_gets_to_them(tmp_path):
    taken = []

    def endless():
        for index in range(1000):
            taken.append(index)
            yield str(index), tiny.frame(seed=index)

    running = outputs(tiny.write_null_artifact(tmp_path / "a"), endless(), target="null")
    next(running)
    assert len(taken) < 10
    running.close()


def test_closing_early_ends_the_process_and_leaves_nothing(tmp_path):
    before_folders, before_children = device_folders(), children()
    running = outputs(tiny.write_null_artifact(tmp_path / "a"), frames(50), target="null")
    next(running)
    assert len(children()) == len(before_children) + 1
    running.close()
    assert children() == before_children
    assert device_folders() <= before_folders


def test_an_error_among_the_frames_ends_the_process(tmp_path):
    def broken():
        yield "good", tiny.frame()
        raise DataError("the second frame is broken")

    before = children()
    with pytest.raises(DataError, match="second frame is broken"):
        list(outputs(tiny.write_null_artifact(tmp_path / "a"), broken(), target="null"))
    assert children() == before


def test_the_process_own_line_is_the_error(tmp_path):
    artifact = tmp_path / "a"
    artifact.mkdir()
    (artifact / "model.tflite").write_bytes(b"this is no model at all")
    tiny.manifest("tflite").save(artifact)
    with pytest.raises(TargetError, match="engine litert cannot open"):
        list(outputs(artifact, frames(3)))


def test_a_process_that_dies_says_how(tmp_path):
    """A file of the right shape can still crash a runtime; here the process is killed while it waits for frames."""

    def killing():
        yield from frames(4)
        os.kill(int(children()[-1]), signal.SIGKILL)
        yield "after", tiny.frame()
        yield "later", tiny.frame()

    with pytest.raises(TargetError, match="was ended by SIGKILL: most likely the system ran out of memory"):
        list(outputs(tiny.write_null_artifact(tmp_path / "a"), killing(), target="null"))


def test_an_unknown_target_suggests_the_nearest(tmp_path):
    with pytest.raises(TargetError, match="Did you mean 'null'"):
        list(outputs(tiny.write_null_artifact(tmp_path / "a"), frames(1), target="nul"))


def test_a_tampered_artifact_is_refused_before_anything_is_started(tmp_path):
    artifact = tiny.write_null_artifact(tmp_path / "a")
    (artifact / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ArtifactError, match="sha256 differs"):
        list(outputs(artifact, frames(1), target="null"))


def test_the_process_ends_with_its_interrupted_parent(tmp_path):
    artifact = tiny.write_null_artifact(tmp_path / "a")
    script = (
        "import sys, time, numpy as np\n"
        "from pathlib import Path\n"
        "from segfast_edge.device.spawn import outputs\n"
        "def frames():\n"
        "    for index in range(10**6):\n"
        "        yield str(index), np.zeros((20, 20, 3), np.uint8)\n"
        "        time.sleep(0.05)\n"
        "for raw in outputs(Path(sys.argv[1]), frames(), target='null'):\n"
        "    print('one', flush=True)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(artifact)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "one\n"
    (child,) = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.send_signal(signal.SIGINT)
    parent.communicate(timeout=240)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()


def test_the_copied_code_holds_no_toolkit(tmp_path):
    code = device_code(tmp_path)
    top = {p.name for p in (code / "segfast_edge").iterdir()}
    assert top == {"__init__.py", "errors.py", "contract"}
    assert not list(code.rglob("__pycache__"))
