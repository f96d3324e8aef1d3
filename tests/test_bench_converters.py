"""The race of the converters: what it calls met, and which weights its files are of."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # benchmarks is not installed

from benchmarks.converter_race import cases, making, results
from segfast_edge.model.checkpoint import Checkpoint

SIZE = (224, 224)


def row(tool, precision, side, ms, invalid=()):
    windows = [{"samples_ms": [ms + 0.01 * step for step in range(5)]} for _ in range(2)]
    named = {"tool": tool, "precision": precision, "side": side, "threads": 1, "invalid": list(invalid)}
    return results.finish({**named, "windows": windows})


def claim(theirs, ours, invalid=()):
    """Return what the page says of OpenVINO's int8, where twice as fast is needed."""
    rows = [row("openvino", "int8", cases.DEFAULT, theirs), row("openvino", "int8", cases.OURS, ours, invalid)]
    every = list(results.claims([{"network": "segfast", "size": SIZE, "rows": rows}]))
    (found,) = (each for each in every if each["claim"].startswith("OpenVINO"))
    return found


@pytest.mark.parametrize(
    ("ours", "invalid", "met"),
    [(4.0, (), True), (6.0, (), False), (4.0, ("foreign load",), "invalid"), (6.0, ("x",), "invalid")],
)
def test_a_ratio_with_an_invalid_side_is_neither_met_nor_missed(ours, invalid, met):
    assert claim(10.0, ours, invalid)["met"] == met


def test_the_page_says_what_met_means_and_calls_void_what_is():
    found = [claim(10.0, 4.0), claim(10.0, 6.0), claim(10.0, 4.0, ("foreign load",)), {**claim(10.0, 4.0), "met": None}]
    page = results.markdown(
        {"described": "", "claims": found, "product_side": 1, "peaks": {}, "cases": [], "not_made": []}
    )
    assert results.MET in page
    told = [line.split(" | ")[6] for line in page.splitlines() if line.startswith("| segfast")]
    assert told == ["yes", "no", "invalid", "not measured"]


def test_files_of_older_weights_are_not_raced_as_those_of_new_ones(tmp_path, monkeypatch):
    def written():
        case = next(each for each in cases.cases(tmp_path, ("segfast",)) if each.size == SIZE)
        making._write_checkpoint(case, tmp_path)
        return case, Checkpoint.load(case.checkpoint)

    before, old = written()
    assert written()[0] == before
    standard = cases.weights("segfast")
    monkeypatch.setattr(cases, "SHIPPED", "camvid-paper-{}")
    assert cases.weights("segfast") != standard
    after, new = written()
    assert after.folder != before.folder
    assert new.preprocess.size == old.preprocess.size == SIZE
    assert any((new.weights[name] != value).any() for name, value in old.weights.items())
