"""``segfast-edge device`` in an installation: its files lie as pyproject.toml puts them into the wheel."""

import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tiny_artifacts as tiny

from segfast_edge.contract.shared.images import read_labels, write_picture

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of packages with what the wheel holds."""
    folder = tmp_path_factory.mktemp("site")
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source, place in {**{name: name for name in wheel["packages"]}, **wheel["force-include"]}.items():
        shutil.copytree(ROOT / source, folder / place, ignore=shutil.ignore_patterns("__pycache__", "*.pt"))
    return folder


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return tiny.write_artifact(tmp_path_factory.mktemp("artifact") / "model", "onnx")


def command(*words):
    code = "import sys; from segfast_edge.cli import main; sys.exit(main())"
    return [sys.executable, "-P", "-c", code, "device", *words]


@pytest.fixture
def device(site, tmp_path):
    """A function that runs the verb from a folder with a package called targets in it, which is somebody else's."""
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/__init__.py").write_text("raise ImportError('not this one')")

    def run(*words, said=""):
        environment = {**os.environ, "PYTHONPATH": str(site)}
        return subprocess.run(
            command(*map(str, words)), capture_output=True, text=True, cwd=tmp_path, env=environment, input=said
        )

    return run


def test_it_segments_pictures_named_on_the_command_line_and_on_standard_input(device, artifact, tmp_path):
    frame = tiny.frame(tiny.HEIGHT, tiny.WIDTH)
    write_picture(tmp_path / "a.png", frame)
    for source, said in (("a.png", ""), ("-", "a.png\n")):
        done = device("x86", "run", artifact, source, "--out", f"masks{source}", "--write", "mask", said=said)
        assert done.returncode == 0, done.stderr
        assert np.array_equal(read_labels(tmp_path / f"masks{source}/a.mask.png"), tiny.expected(frame[np.newaxis])[0])


def test_its_help_and_errors_name_the_command_that_was_typed(device):
    assert "usage: segfast-edge device" in device().stdout
    assert "usage: segfast-edge device TARGET run" in device("x86", "run", "--help").stdout
    done = device("x86", "run", "nowhere", "a.png", "--out", "masks")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "python -m targets" not in device("x86", "nonsense").stderr


def test_a_signal_reaches_the_device_side_itself(site, artifact, tmp_path):
    words = command("x86", "run", str(artifact), "-", "--out", "masks")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    write_picture(tmp_path / "a.png", tiny.frame(tiny.HEIGHT, tiny.WIDTH))
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        child.stdin.write("a.png\n")
        child.stdin.flush()
        assert "a.mask.png" in child.stdout.readline()
        child.send_signal(signal.SIGTERM)
        child.wait(240)
    assert child.returncode == 130
