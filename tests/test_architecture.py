"""The import rules of pyproject.toml bind: a violation of each, planted in a copy of the tree, is reported."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLANTED = {  # rule -> imports that break it: the importing module, and what it imports
    "The toolkit imports downwards": [
        ("segfast_edge.remote.ssh", "segfast_edge.profiling.over_ssh"),
        ("segfast_edge.export.common.tuning", "segfast_edge.profiling.local"),
        ("segfast_edge.prediction.predictor", "segfast_edge.training.execution"),
        ("segfast_edge.data.sample", "segfast_edge.model.blocks"),
        ("segfast_edge.contract.report", "segfast_edge.page.plots"),
    ],
    "A conversion walks down": [
        ("segfast_edge.export.common.parity", "segfast_edge.export.common.conversion"),
        ("segfast_edge.export.common.conversion", "segfast_edge.export.common.int8_search"),
    ],
    "What exporters share imports no exporter": [
        ("segfast_edge.export.common.metadata", "segfast_edge.export.onnx"),
        ("segfast_edge.export.tflite_writer.write", "segfast_edge.export.convert"),
    ],
    "The device code imports downwards": [
        ("targets.common.segment", "targets.runner.pipeline"),
        ("targets.engines.null", "targets.runner.frames"),
        ("targets.install.layout", "targets.cli.commands"),
    ],
    "The device code stands on the contract and the errors alone": [
        ("targets.runner.model", "segfast_edge.prediction.metrics"),
    ],
    "The toolkit copies and starts the device code, it never imports it": [
        ("segfast_edge.device.spawn", "targets.common.session"),
    ],
    "torch makes networks, and runs on no device": [
        ("segfast_edge.data.pairs", "torch"),
        ("segfast_edge.cli.predict", "torch"),
        ("targets.engines.null", "torch"),
    ],
    "What copies, measures and deploys starts without torch": [("segfast_edge.profiling.compare", "torch")],
    "rich draws for the command line alone": [
        ("segfast_edge.training.loop", "rich"),
        ("targets.cli.commands", "rich"),
    ],
    "A runtime is imported where files for it are written or read": [
        ("segfast_edge.export.onnx", "openvino"),
        ("segfast_edge.export.common.parity", "onnxruntime"),
        ("targets.common.session", "ai_edge_litert"),
        ("segfast_edge.export.torchscript", "ncnn"),
        ("targets.common.session", "pnnx"),
    ],
    "Each other library has its place": [
        ("segfast_edge.profiling.compare", "matplotlib"),
        ("targets.install.trust", "cryptography"),
    ],
    "What both sides share is not part of the contract": [
        ("segfast_edge.contract.shared.files", "segfast_edge.contract.manifest"),
    ],
    "Conversion does not import what reaches other computers": [
        ("segfast_edge.export.convert", "segfast_edge.remote.ssh"),
    ],
    "Drawing scenes does not import the datasets": [
        ("segfast_edge.data.scene.render", "segfast_edge.data.sources.camvid"),
    ],
    "No dataset imports another": [
        ("segfast_edge.data.sources.synthia", "segfast_edge.data.sources.bdd100k"),
    ],
}


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """What lint-imports says of a copy of the tree with every violation in it, by rule."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", tree)
    for package in ("segfast_edge", "targets"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    for importer, imported in [each for imports in PLANTED.values() for each in imports]:
        with (tree / f"{importer.replace('.', '/')}.py").open("a") as stream:
            stream.write(f"\nimport {imported}\n")
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=tree,
        env={**os.environ, "COLUMNS": "300", "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found, rule = {}, ""
    lines = done.stdout.partition("Broken contracts")[2].splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line and below == "-" * len(line):
            rule = line
        found[rule] = found.get(rule, "") + line + "\n"
    return found


def test_every_rule_has_a_violation_here():
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {rule["name"] for rule in rules} == set(PLANTED)


@pytest.mark.parametrize(
    ("rule", "importer", "imported"),
    [(rule, *each) for rule, imports in PLANTED.items() for each in imports],
    ids=lambda value: value if "." in value else None,
)
def test_a_planted_violation_is_reported(reported, rule, importer, imported):
    assert f"{importer} -> {imported} (l." in reported[rule]


def test_the_map_in_contributing_shows_the_imports_as_they_are():
    done = subprocess.run([sys.executable, ROOT / "tools/package_map.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    drawn = (ROOT / "CONTRIBUTING.md").read_text().partition("package_map.py -->\n")[2].partition("<!-- end")[0]
    assert drawn == done.stdout, "run: python tools/package_map.py --write"
