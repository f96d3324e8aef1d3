import json

import pytest
import tiny_artifacts

from segfast_edge.cli import main
from segfast_edge.contract.files import write_json
from segfast_edge.contract.layers import Layer
from segfast_edge.contract.plan import Plan
from segfast_edge.page.plots import pareto_front
from segfast_edge.profile import profile


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    artifact = tiny_artifacts.write_null_artifact(tmp_path_factory.mktemp("report") / "null")
    return profile(artifact, target="null", plan=Plan(num_runs=30, min_secs=0.1, threads=1)).to_json()


def written(folder, measured, name, **changes):
    value = json.loads(json.dumps(measured)) | changes
    value["artifact"]["name"] = name
    write_json(folder / f"{name}.json", value)
    return str(folder / f"{name}.json")


def evaluation(folder, name, miou, protocol="standard: 32x48"):
    write_json(folder / f"{name}-eval.json", {"path": f"artifacts/{name}", "miou": miou, "protocol": protocol})
    return str(folder / f"{name}-eval.json")


def test_the_page_holds_every_profile_and_needs_nothing_else(tmp_path, measured):
    layers = [
        Layer("stem/conv", "Convolution", "jit", 2.0, 9_000_000).to_json(),
        Layer("head", "Resize", "ref", 1.0).to_json(),
    ]
    first = written(tmp_path, measured, "first", layers=layers)
    second = written(tmp_path, measured, "second", reasons=["throttled"], valid=False)
    scores = [evaluation(tmp_path, "first", 0.5), evaluation(tmp_path, "second", 0.6)]
    page = tmp_path / "report.html"
    assert main(["report", first, second, "--accuracy", *scores, "-o", str(page)]) == 0
    text = page.read_text()
    assert "<script" not in text
    assert "src=" not in text
    assert "<b>second</b>: throttled" in text
    assert "66.7 %" in text
    assert "60.00 %" in text
    assert "Accuracy against latency" in text


def test_a_page_is_not_overwritten_unasked_and_a_foreign_file_is_refused(tmp_path, measured, capsys):
    report, page = written(tmp_path, measured, "one"), tmp_path / "report.html"
    page.write_text("mine")
    assert main(["report", report, "-o", str(page)]) == 2
    assert page.read_text() == "mine"
    (tmp_path / "bad.json").write_text('{"report_version": 99}')
    assert main(["report", str(tmp_path / "bad.json"), "-o", str(page), "--overwrite"]) == 2
    assert "Profile again" in capsys.readouterr().err
    assert page.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "protocol", "message"),
    [("other", "standard: 32x48", "none of the profiles"), ("second", "paper: 224x224", "different protocols")],
)
def test_accuracy_that_does_not_belong_is_refused(tmp_path, measured, capsys, name, protocol, message):
    reports = [written(tmp_path, measured, each) for each in ("first", "second")]
    scores = [evaluation(tmp_path, "first", 0.5), evaluation(tmp_path, name, 0.6, protocol)]
    assert main(["report", *reports, "--accuracy", *scores, "-o", str(tmp_path / "r.html")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_the_front_leaves_out_what_another_beats_in_both():
    points = {"slow good": (9.0, 0.9), "fast bad": (1.0, 0.1), "beaten": (9.5, 0.8), "middle": (3.0, 0.5)}
    assert pareto_front(points) == ["fast bad", "middle", "slow good"]
    assert pareto_front({"a": (1.0, 0.5), "b": (1.0, 0.6)}) == ["b"]
