import json

import pytest
from PIL import Image
from tiny_training import PAPER, run, settings

from segfast_edge.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    run(settings(PAPER.changed({"epochs": 2})), path / "first")
    run(settings(PAPER.changed({"epochs": 1, "lr": 0.01}), protocol="standard"), path / "deep/second")
    return path


def test_trainings_are_listed_with_what_their_metrics_say(folder, capsys):
    assert main(["runs", "list", str(folder), "--json"]) == 0
    rows = {row["run"]: row for row in json.loads(capsys.readouterr().out)}
    assert sorted(rows) == ["deep/second", "first"]
    lines = [json.loads(line) for line in (folder / "first/metrics.jsonl").read_text().splitlines()]
    assert rows["first"]["best_miou"] == max(line["val"]["miou"] for line in lines)
    assert (rows["first"]["epochs"], rows["deep/second"]["epochs"]) == ("2/2", "1/1")
    assert rows["deep/second"]["protocol"].startswith("standard")
    assert main(["runs", "list", str(folder)]) == 0
    assert "first" in capsys.readouterr().out


def test_two_trainings_are_compared_by_what_differs(folder, tmp_path, capsys):
    pair = [str(folder / "first"), str(folder / "deep/second")]
    assert main(["runs", "compare", *pair, "--json", "--picture", str(tmp_path / "both.png")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["recipe.lr"] == [0.001, 0.01]
    assert found["settings"]["protocol"] == ["paper", "standard"]
    assert "recipe.optimiser" not in found["settings"]
    assert found["results"]["epochs"] == ["2/2", "1/1"]
    with Image.open(tmp_path / "both.png") as picture:
        assert picture.width > 500


def test_a_folder_without_trainings_is_said_so(tmp_path, capsys):
    assert main(["runs", "list", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"segfast-edge: no training in {tmp_path}")
