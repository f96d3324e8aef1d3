"""What an artifact needs works in a process that has no torch and none of the packages that come with training."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tiny_artifacts

from segfast_edge.contract.shared.images import read_labels, write_picture
from segfast_edge.model import networks

# refuses the import as an environment without these packages does
START = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "matplotlib", "flatbuffers", "nncf"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])
        return None

sys.meta_path.insert(0, Absent())
from segfast_edge.cli import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return tiny_artifacts.write_artifact(tmp_path_factory.mktemp("artifact") / "model", "onnx")


@pytest.fixture
def light(tmp_path):
    """A function that runs a verb without torch and returns what it printed."""

    def run(*words, status=0):
        command = [sys.executable, "-c", START, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    return run


def test_torch_is_absent_and_a_checkpoint_says_what_to_install(light):
    said = light("evaluate", "camvid-standard-segfast_fast", "--data", "scenes:val=1", status=2)
    assert said == "segfast-edge: torch is missing. Run: pip install 'segfast-edge[train]'\n"


def test_predict_segments_as_the_network_does(light, artifact, tmp_path):
    frame = tiny_artifacts.frame(tiny_artifacts.HEIGHT, tiny_artifacts.WIDTH)
    write_picture(tmp_path / "a.png", frame)
    light("predict", "a.png", "--model", artifact, "--out", "out")
    assert np.array_equal(read_labels(tmp_path / "out/a.mask.png"), tiny_artifacts.expected(frame[np.newaxis])[0])


def test_evaluate_counts_on_a_folder_of_ones_own(light, artifact, tmp_path):
    for number in range(3):
        frame = tiny_artifacts.frame(tiny_artifacts.HEIGHT, tiny_artifacts.WIDTH, number)
        for kind, pixels in (("images", frame), ("labels", tiny_artifacts.expected(frame[np.newaxis])[0])):
            (tmp_path / f"data/{kind}/val").mkdir(parents=True, exist_ok=True)
            write_picture(tmp_path / f"data/{kind}/val/{number}.png", pixels)
    (tmp_path / "data/classes.json").write_text('{"names": ["road", "car", "sky", "tree", "person"]}')
    words = ["--data", "folder", "--data-root", "data", "--protocol", "standard", "--json"]
    found = json.loads(light("evaluate", artifact, *words))
    assert (found["frames"], found["pixel_accuracy"], found["miou"]) == (3, 1.0, 1.0)


def test_report_writes_a_page_of_tables_and_says_how_to_get_plots(light, artifact, tmp_path):
    light("profile", artifact, "--num-runs", "20", "--min-secs", "0", "--output", "r.json")
    assert "pip install matplotlib" in light("report", "r.json", "-o", "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "<h2>All figures</h2>" in page
    assert "matplotlib was not installed" in page
    assert "<svg" not in page


def test_benchmark_measures_an_artifact(light, artifact):
    words = ["--data", "scenes:size=32x48,train=1,val=1", "--protocol", "standard", "--min-secs", "0.05", "--json"]
    (row,) = json.loads(light("benchmark", artifact, *words))
    assert row["agreement"] == 1.0
    assert row["p50_ms"] > 0


def test_the_library_predicts(artifact, tmp_path):
    frame = tiny_artifacts.frame(tiny_artifacts.HEIGHT, tiny_artifacts.WIDTH)
    write_picture(tmp_path / "a.png", frame)
    code = START.replace("from segfast_edge.cli import main\nsys.exit(main())", "import segfast_edge as sf")
    code += "print(sf.load(sys.argv[1]).predict(sys.argv[2]).labels.tolist())"
    done = subprocess.run([sys.executable, "-c", code, artifact, tmp_path / "a.png"], capture_output=True, text=True)
    assert json.loads(done.stdout) == tiny_artifacts.expected(frame[np.newaxis])[0].tolist(), done.stderr


def test_models_lists_every_network(light):
    listed = json.loads(light("models", "--json"))
    assert [each["model"] for each in listed] == networks()
    assert all(each["description"] and each["parameters"] is None for each in listed)
    assert "pip install 'segfast-edge[train]'" in light("models")
