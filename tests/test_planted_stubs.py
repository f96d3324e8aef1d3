"""A stub in the place of a format, engine, target, input, output, dataset or network is found and fails its test.

The stubs are planted in a copy of the checkout, each with an example that asks for something real.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

STUBS = {
    # FORMAT with an annotation, which a reader of the syntax tree for plain assignments would not see
    "segfast_edge/contract/formats/stub.py": """
from segfast_edge.contract.formats import Format

FORMAT: Format = Format(title="stub", model_file="model.stub", engines=("stub",), extra="stub", integer=True)
""",
    "segfast_edge/contract/engines/stub.py": """
from segfast_edge.contract.engines import Engine

ENGINE: Engine = Engine(title="stub", packages=(("stub>=1",),))
""",
    "segfast_edge/export/stub.py": """
def export(graph, manifest, folder):
    return None


def quantize(graph, manifest, folder, recipe):
    return None
""",
    "targets/engines/stub.py": """
def runtime():
    return None


def load(artifact, manifest, options):
    return None


def layers(artifact, manifest, trace):
    return []
""",
    "targets/stub.py": """
from targets.common.descriptor import Target

TARGET = Target(name="stub", description="stub", machine="x86_64", is_here=lambda root: False)
""",
    "targets/runner/inputs/stub.py": """
FORM = "stub:"


def matches(text):
    return text == "stub:"


def open_source(text, options):
    return None
""",
    "targets/runner/outputs/stub.py": """
FORM = "stub:"


def open_output(argument, context):
    return None
""",
    "segfast_edge/data/sources/stub.py": """
def source(root, options):
    return None
""",
    "segfast_edge/model/zoo/stub.py": '''
"""A network that is none."""


def build(classes):
    return None
''',
    "tests/examples/formats/stub.py": 'def write(path):\n    path.write_bytes(b"stub")\n',
    "tests/examples/targets/stub.py": 'MACHINE = "x86_64"\nFILES = {"proc/device-tree/model": b"Stub"}\n',
    "tests/examples/inputs/stub.py": """
import contextlib

import tiny_artifacts as tiny

from targets.runner.inputs import SourceOptions


@contextlib.contextmanager
def opened(folder):
    yield "stub:", SourceOptions(), (48, 64), tiny.frame(48, 64)
""",
}
COPIED_EXAMPLES = {"outputs": "masks", "datasets": "camvid"}  # the stub's example is that of another, under its name

CAUGHT = (
    "test_every_format_is_converted_and_each_engine_gives_the_labels_that_numpy_gives",
    "test_every_format_with_int8_is_quantized_and_its_labels_stay_near",
    "test_every_engine_does_what_its_descriptor_says_and_refuses_the_rest",
    "test_every_target_knows_its_board_and_no_other_target_takes_it_for_its_own",
    "test_every_input_is_opened_on_something_real_and_gives_its_frames",
    "test_every_output_takes_a_result_is_closed_and_read_back",
    "test_every_dataset_reads_a_tiny_tree_of_its_layout",
    "test_every_network_is_described_and_gives_logits_of_the_inputs_size",
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    copy = tmp_path_factory.mktemp("copy")
    leave = shutil.ignore_patterns("__pycache__", "*.pt.zip", "weights", "test_*.py")
    for name in ("segfast_edge", "targets", "tests", "tools"):
        shutil.copytree(ROOT / name, copy / name, ignore=leave)
    for name in ("pyproject.toml", "tests/test_everything_found.py", "tests/test_one_place.py"):
        shutil.copyfile(ROOT / name, copy / name)
    for name, text in STUBS.items():
        (copy / name).write_text(text.lstrip())
    for kind, of in COPIED_EXAMPLES.items():
        example = (copy / f"tests/examples/{kind}/{of}.py").read_text()
        (copy / f"tests/examples/{kind}/stub.py").write_text(example.replace(f'"{of}', '"stub'))
    return copy


def _run(checkout: Path, *words: str) -> tuple[set[str], set[str]]:
    """Run tests in the copy; return the names of those that failed and of those that passed or were skipped."""
    command = [sys.executable, "-m", "pytest", "-v", "--tb=no", "-p", "no:cacheprovider", *words]
    env = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, env=env)
    said = dict(re.findall(r"::(\w+)\[stub\] (FAILED|PASSED|SKIPPED|ERROR)", done.stdout))
    assert said, done.stdout + done.stderr
    failed = {name for name, outcome in said.items() if outcome in ("FAILED", "ERROR")}
    return failed, {*said} - failed


def test_every_stub_is_caught(checkout):
    failed, others = _run(checkout, "tests/test_everything_found.py", "-k", "stub")
    assert others == set()
    assert failed == {*CAUGHT}


def test_a_format_whose_extra_is_not_in_pyproject_is_caught(checkout):
    failed, _ = _run(checkout, "tests/test_one_place.py", "-k", "stub and extra")
    assert failed == {"test_a_formats_extra_brings_its_converter_and_the_engine_that_runs_it_here"}


def test_what_comes_without_an_example_is_told_where_to_put_one(checkout):
    for kind in ("targets", "inputs", "outputs", "datasets"):
        (checkout / f"tests/examples/{kind}/stub.py").unlink()
    words = ["tests/test_everything_found.py", "-k", "stub and (target or input or output or dataset)", "--tb=line"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    env = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, env=env)
    for kind in ("targets", "inputs", "outputs", "datasets"):
        assert f"tests/examples/{kind}/stub.py is missing" in done.stdout
