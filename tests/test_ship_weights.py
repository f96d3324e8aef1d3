import json
import sys
from pathlib import Path

import pytest
import tiny_training as tiny

from segfast_edge.cli import main
from segfast_edge.training.run_folder import RunFolder
from segfast_edge.weights import find, shipped

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import ship_weights


@pytest.mark.parametrize("name", shipped())
def test_a_card_can_be_read_back_into_the_trainings_that_it_tells_of(name):
    lineage = ship_weights.shipped_lineage(name)
    card = find(Path(name)).with_suffix(".md").read_text()
    assert "\n".join(f"$ {command}" for command in lineage.numbered(name)) in card
    assert sum(map(len, lineage.histories)) == find(Path(name)).with_suffix(".jsonl").read_text().count("\n")


def test_a_training_from_shipped_weights_is_told_with_all_that_led_to_them(tmp_path):
    tiny.run(tiny.settings(), tmp_path / "first")
    path = tmp_path / "first/config.json"
    teacher = str(find(Path("camvid-standard-segfast_fast")))
    changed = {"start": str(find(Path("camvid-paper-segfast"))), "teacher": teacher}
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    lineage = ship_weights.lineage_of(RunFolder(tmp_path / "first"))
    first, second, last = lineage.numbered("new")
    assert first.endswith("--seed 0 --output-dir runs/new-1")
    assert "--start runs/new-1/best.pt --output-dir runs/new-2" in second
    assert last.endswith("--teacher camvid-standard-segfast_fast --start runs/new-2/best.pt --output-dir runs/new")
    assert [len(history) for history in lineage.histories] == [87, 45, 3]


def test_a_card_has_measured_figures_of_the_test_split_too(tmp_path, monkeypatch):
    settings = tiny.settings()
    tiny.run(settings, tmp_path / "run")
    monkeypatch.setattr(ship_weights, "WEIGHTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["ship_weights", str(tmp_path / "run"), "scenes-standard-tiny"])
    ship_weights.main()
    text = (tmp_path / "scenes-standard-tiny.md").read_text()
    for split in ("test", "val"):
        words = ["evaluate", str(tmp_path / "scenes-standard-tiny.pt"), "--data", settings.data, "--split", split]
        assert main([*words, "--output", str(tmp_path / "found.json")]) == 0
        found = json.loads((tmp_path / "found.json").read_text())
        row = f"| on `{split}`, {found['frames']} frames | pixel accuracy {100 * found['pixel_accuracy']:.2f} %"
        assert f"{row}, mIoU {found['miou']:.4f} |" in text


def test_weights_trained_on_everything_are_judged_by_the_last_epochs_on_drives_left_out(tmp_path, monkeypatch):
    settings = tiny.settings(tiny.PAPER.changed({"epochs": 2}))
    for name in ("final", "fold-a", "fold-b"):
        tiny.run(settings, tmp_path / name)
    for name, miou in (("fold-a", 0.5), ("fold-b", 0.25)):
        log = tmp_path / name / "metrics.jsonl"
        first, last = (json.loads(line) for line in log.read_text().splitlines())
        first["val"]["miou"], last["val"]["miou"] = 0.9, miou  # a better epoch on the way is not what is told
        log.write_text(f"{json.dumps(first)}\n{json.dumps(last)}\n")
    monkeypatch.setattr(ship_weights, "WEIGHTS", tmp_path)
    folds = [str(tmp_path / "fold-a"), str(tmp_path / "fold-b")]
    monkeypatch.setattr(sys, "argv", ["ship_weights", str(tmp_path / "final"), "scenes-x", "--folds", *folds])
    ship_weights.main()
    text = (tmp_path / "scenes-x.md").read_text()
    assert "| on drives left out (a, b) | mIoU 0.3750 |" in text
    assert "on `val`" not in text
    changed = json.loads((tmp_path / "fold-b/config.json").read_text()) | {"seed": 7}
    (tmp_path / "fold-b/config.json").write_text(json.dumps(changed))
    with pytest.raises(SystemExit, match=r"fold-b is not a fold of .*final: seed differs"):
        ship_weights.main()
