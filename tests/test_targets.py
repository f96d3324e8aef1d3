"""The device side: targets, engines, and the run loop."""

import subprocess
import sys
from pathlib import Path

import pytest
import tiny_artifacts as tiny

from segfast_edge.bundle import device_code
from targets.common.target import target, targets


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("artifacts")
    return {name: tiny.write_artifact(folder / name, name) for name in tiny.FORMATS}


@pytest.fixture(scope="module")
def code(tmp_path_factory) -> Path:
    return device_code(tmp_path_factory.mktemp("device"))


def run_device(code: Path, *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "targets", *map(str, words)]
    return subprocess.run(command, cwd=code, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", targets())
def test_each_target_is_named_as_its_file_and_names_engines_that_exist_and_open_the_format(name):
    found = target(name)
    assert found.name == name
    assert found.engines
    for model_format, names in found.engines.items():
        assert names
        ours = {name.split(".")[1] for name in names if name.startswith("segfast_edge.")}
        assert ours <= {"contract", "errors"}, path
