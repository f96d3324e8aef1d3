"""The device side stands alone: copied out with the contract and the errors, every module imports and artifacts run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_artifacts as tiny

from segfast_edge.contract.shared.images import read_labels, write_picture
from targets.common.session import installed

ROOT = Path(__file__).parents[1]
IMPORT_ALL = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps({name: getattr(module, "__file__", None) for name, module in sys.modules.items()}))
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory) -> Path:
    """A folder with the device code and the two parts of the package that it stands on; copied here by name."""
    folder = tmp_path_factory.mktemp("alone")
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "targets", folder / "targets", ignore=without)
    shutil.copytree(ROOT / "segfast_edge/contract", folder / "segfast_edge/contract", ignore=without)
    for name in ("__init__.py", "errors.py"):
        shutil.copy(ROOT / "segfast_edge" / name, folder / "segfast_edge")
    return folder


def run(code: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *words], cwd=code, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_imports_with_neither_the_toolkit_nor_torch_nor_any_runtime(code):
    files = [path.relative_to(code) for path in code.rglob("*.py") if (path.parent / "__init__.py").is_file()]
    names = sorted({".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files})
    assert len(names) > 90
    loaded = json.loads(run(code, "-c", IMPORT_ALL, *names))
    ours = {name: file for name, file in loaded.items() if name.partition(".")[0] in ("segfast_edge", "targets")}
    assert all(Path(file).is_relative_to(code) for file in ours.values())
    assert {name.split(".")[1] for name in ours if name.startswith("segfast_edge.")} == {"contract", "errors"}
    heavy = {"torch", "torchvision", "rich", "openvino", "onnxruntime", "ai_edge_litert", "tflite_runtime", "tensorrt"}
    assert not heavy & set(loaded)


@pytest.mark.parametrize("words", [["null"], ["x86", "--engine", "onnxruntime"]], ids=lambda words: words[0])
def test_the_copied_code_segments_a_picture_and_measures(code, words, tmp_path):
    target, *options = words
    if options and not installed("onnxruntime"):
        pytest.skip("onnxruntime is not installed")
    artifact = tiny.write_artifact(tmp_path / "artifact", "onnx")
    picture = tiny.frame(tiny.HEIGHT, tiny.WIDTH, seed=7)
    write_picture(tmp_path / "one.png", picture)
    out = tmp_path / "out"
    run(code, "-m", "targets", target, "run", str(artifact), str(tmp_path / "one.png"), "--out", str(out), *options)
    mask = read_labels(out / "one.mask.png")
    assert mask.shape == (tiny.HEIGHT, tiny.WIDTH)
    if target != "null":
        np.testing.assert_array_equal(mask, tiny.expected(picture[np.newaxis])[0])

    quick = ["--num-runs", "3", "--min-secs", "0", "--warmup-runs", "1"]
    report = json.loads(run(code, "-m", "targets", target, "profile", str(artifact), "--json", *quick, *options))
    assert report["target"] == target
    assert report["latency"]["count"] == len(report["latency"]["samples_ms"]) >= 3
    assert report["torch_imported"] is False
