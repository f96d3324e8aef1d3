import json
from dataclasses import replace

import pytest
import tiny_artifacts
from matplotlib.figure import Figure

from segfast_edge.cli import main
from segfast_edge.contract.layer_times import Layer
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.report import Report
from segfast_edge.contract.shared.files import write_json
from segfast_edge.page.plots import (
    _strip,
    latency_bars,
    latency_percentiles,
    memory_bars,
    pareto_front,
    stage_bars,
    style,
)
from segfast_edge.page.profiles import _names
from segfast_edge.page.timeline import _series, timeline
from segfast_edge.profiling.local import profile


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    artifact = tiny_artifacts.write_null_artifact(tmp_path_factory.mktemp("report") / "null")
    value = profile(artifact, target="null", plan=ProfileOptions(num_runs=30, min_secs=0.1, threads=1)).to_json()
    return undisturbed(value)


def undisturbed(value):
    """Return the report as a quiet machine would have given it, which is valid when it is read again."""
    steady = [2.0 + 0.1 * (place % 2) for place in range(value["latency"]["count"])]
    conditions = value["conditions"] | {"foreign_cpu_share": 0.0, "load": {}, "alarms": []}
    return value | {"latency": {"samples_ms": steady}, "conditions": conditions, "reasons": [], "valid": True}


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
    first = written(tmp_path, measured, "first", layers=layers, reasons=[], valid=True)
    second = written(tmp_path, measured, "second", reasons=["throttled"], valid=False)
    scores = [evaluation(tmp_path, "first", 0.5), evaluation(tmp_path, "second", 0.6)]
    page = tmp_path / "report.html"
    assert main(["report", first, second, "--accuracy", *scores, "-o", str(page)]) == 0
    text = page.read_text()
    assert "<script" not in text
    assert "src=" not in text
    assert "<b>second</b>: throttled" in text
    assert "66.7 %" in text
    assert '<td class="word">jit</td>' in text
    assert "<td>9.00</td><td>4.5</td>" in text  # what a layer multiplies, and how fast
    assert "60.00 %" in text
    assert "Accuracy against latency" in text
    assert [text.count(f">{word}</span>") for word in ("valid", "invalid")] == [1, 1]


def test_accuracy_belongs_by_checksum_where_folders_have_one_name(tmp_path, measured):
    paths = []
    for place, miou in (("fast", 0.5), ("slow", 0.6)):
        value = json.loads(json.dumps(measured))
        value["artifact"] |= {"name": f"{place}/onnx", "sha256": f"of {place}"}
        write_json(tmp_path / f"{place}.json", value)
        score = {"path": f"{place}/onnx", "sha256": f"of {place}", "miou": miou, "protocol": "standard: 32x48"}
        write_json(tmp_path / f"{place}-eval.json", score)
        paths.append(str(tmp_path / f"{place}.json"))
    scores = [path.replace(".json", "-eval.json") for path in reversed(paths)]
    assert main(["report", *paths, "--accuracy", *scores, "-o", str(tmp_path / "r.html")]) == 0
    lines = (tmp_path / "r.html").read_text().splitlines()
    fast, slow = (line for line in lines if line.startswith('<tr><th scope="row">') and "/onnx</th>" in line)
    assert "50.00 %" in fast
    assert "60.00 %" in slow


def test_reports_of_one_name_are_told_apart_by_what_differs(measured):
    report = Report.from_json(measured)
    several = [report, replace(report, threads=2), replace(report, threads=2), replace(report, artifact={"name": "b"})]
    assert list(_names(several)) == ["null, 1 threads", "null, 2 threads", "null, 2 threads (2)", "b"]
    assert list(_names([report, report])) == ["null", "null (2)"]


def plotted(measured, **changes):
    report = Report.from_json(measured | changes)
    return [plot({"a": report}) for plot in (latency_bars, latency_percentiles, stage_bars, memory_bars)] + [
        timeline(report)
    ]


def test_whatever_a_report_lacks_its_plots_can_be_drawn(measured):
    whole = plotted(measured)
    assert all(plot.startswith("<svg") for plot in whole)
    bare = plotted(measured, latency={"samples_ms": [1.5]}, stages={}, conditions={}, memory={
        "peak_bytes": 2, "baseline_bytes": 1, "pss_bytes": None, "available_drop_bytes": None, "phases": {},
    })  # fmt: skip
    assert [bool(plot) for plot in bare] == [True, True, False, True, True]
    assert len(bare[-1]) < len(whole[-1])


def test_a_long_run_makes_no_huge_page_and_its_outlier_is_told_in_words(measured):
    samples = [1.0 + 0.001 * (n % 100) for n in range(50_000)]
    samples[777] = 1234.5
    value = json.loads(json.dumps(measured)) | {"latency": {"samples_ms": samples}}
    report = Report.from_json(value)
    assert sum(map(len, (latency_bars({"a": report}), timeline(report)))) < 500_000
    with style():
        axes = Figure().subplots()
        _strip(axes, 0, report.latency, edge=2.0)
        assert "1 beyond, most 1234.5" in axes.texts[-1].get_text()


def test_the_timeline_has_one_clock_for_samples_and_sensors(measured):
    ends = measured["conditions"]["ends_s"]
    series = {name: times for name, (times, _), _ in _series(Report.from_json(measured))}
    assert series == {"the network alone": ends["latency"], "whole frames, file to mask": ends["end_to_end"]}
    older = measured | {"conditions": {"timeline": [[0.0, 1500.0, 61.0, None]]}}
    ((_name, (times, samples), _),) = _series(Report.from_json(older))
    assert times[-1] == pytest.approx(sum(samples) / 1000)
    assert timeline(Report.from_json(older)).startswith("<svg")


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
