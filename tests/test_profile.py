"""Profiling an artifact in a fresh process, and the verb that shows it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny_artifacts as tiny

from segfast_edge import __version__
from segfast_edge.cli import main
from segfast_edge.contract.profile_options import OVER_SSH, ProfileOptions
from segfast_edge.contract.report import read_reports
from segfast_edge.contract.shared.images import write_picture
from segfast_edge.errors import TargetError
from segfast_edge.profiling.local import distinct_names, profile
from targets.common.target import refuse_elsewhere, target

SHORT = ProfileOptions(threads=1, num_runs=40, min_secs=0.0, max_secs=3.0, warmup_runs=2)
SHORT_WORDS = SHORT.words()


@pytest.fixture(scope="module")
def nothing(tmp_path_factory) -> Path:
    return tiny.write_null_artifact(tmp_path_factory.mktemp("artifacts") / "nothing")


@pytest.mark.parametrize("model_format", tiny.FORMATS)
def test_every_format_is_profiled_in_a_process_of_its_own(model_format, tmp_path):
    report = profile(tiny.write_artifact(tmp_path / "tiny", model_format), plan=SHORT)
    assert report.artifact["name"] == "tiny"
    assert report.artifact["format"] == model_format
    assert report.executed_precision == "float32"
    assert report.threads == 1
    assert report.torch_imported is (model_format == "torchscript")
    assert len(report.latency.samples_ms) >= 40
    assert report.import_ms > 1  # a runtime takes longer than that to import
    assert report.cold_start_ms > report.import_ms + report.load_ms
    assert 1e6 < report.memory.over_baseline_bytes < 1e9
    assert report.memory.pss_bytes > 1e6
    assert set(report.stages) == {"read", "preprocess", "inference", "postprocess", "end_to_end"}
    assert report.conditions["frame"] == "frame.png"
    assert report.versions["segfast-edge"] == __version__
    ends = report.conditions["ends_s"]
    assert len(ends["latency"]) == len(report.latency.samples_ms)
    assert len(ends["end_to_end"]) == len(report.stages["end_to_end"].samples_ms)
    assert sorted(ends["latency"] + ends["end_to_end"]) == ends["latency"] + ends["end_to_end"]
    assert ends["end_to_end"][-1] <= report.conditions["duration_s"]
    assert report.machine["python"]


def test_the_end_to_end_time_is_the_sum_of_its_stages(nothing):
    stages = dict(profile(nothing, target="null", plan=SHORT).stages)
    whole = np.array(stages.pop("end_to_end").samples_ms)
    np.testing.assert_allclose(whole, np.sum([stage.samples_ms for stage in stages.values()], axis=0))


def test_a_constant_stream_accounts_for_every_frame(nothing):
    plan = ProfileOptions(num_runs=10, min_secs=0, scenario="constant-stream", target_fps=100)
    report = profile(nothing, target="null", plan=plan)
    assert report.stream["arrived"] == report.stream["taken"] + report.stream["dropped"]
    assert report.stream["taken"] >= 10
    assert "read" not in report.stages  # a camera's frame is in memory


def test_a_picture_of_ones_own_goes_through_the_stages(nothing, tmp_path, monkeypatch):
    write_picture(tmp_path / "mine.png", tiny.frame(50, 70))
    monkeypatch.chdir(tmp_path)
    report = profile(nothing, target="null", plan=ProfileOptions(num_runs=3, min_secs=0, input="mine.png"))
    assert report.conditions["frame"].endswith("mine.png")


def test_few_samples_make_a_measurement_invalid_and_require_valid_exits_5(nothing, capsys):
    words = ["profile", str(nothing), "--target", "null", "--num-runs", "3", "--min-secs", "0"]
    assert main(words) == 0
    assert "too few samples: 3" in capsys.readouterr().out
    assert main([*words, "--require-valid"]) == 5
    assert "measurement is invalid: nothing: " in capsys.readouterr().err


def test_several_artifacts_make_one_table_and_one_file(nothing, tmp_path, capsys):
    other = tiny.write_null_artifact(tmp_path / "other")
    words = ["profile", str(nothing), str(other), "--target", "null", *SHORT_WORDS]
    assert main([*words, "--output", str(tmp_path / "r.json")]) == 0
    table = capsys.readouterr().out
    assert "nothing" in table
    assert "other" in table
    assert [report.artifact["name"] for report in read_reports(tmp_path / "r.json")] == ["nothing", "other"]


def test_one_artifact_that_fails_does_not_cost_the_figures_of_the_others(nothing, tmp_path, capsys):
    good = tiny.write_artifact(tmp_path / "good", "tflite")
    words = ["profile", str(nothing), str(good), *SHORT_WORDS, "--repeat", "2", "--output", str(tmp_path / "r.json")]
    assert main(words) == 2  # what only the null engine opens comes first
    said = capsys.readouterr()
    assert "litert" in said.out
    assert said.err.splitlines()[-1].startswith("segfast-edge: nothing: engine onnxruntime cannot open")
    assert [report.artifact["name"] for report in read_reports(tmp_path / "r.json")] == ["good", "good"]


def test_a_name_misspelt_is_told_before_anything_is_measured(nothing, tmp_path, capsys):
    words = ["--target", "null", "--min-secs", "60", "--output", str(tmp_path / "r.json")]
    assert main(["profile", str(nothing), str(tmp_path / "nothng"), *words]) == 2
    assert "no artifact folder at" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main(["profile", str(nothing.parent), *words]) == 2
    assert f"is a folder of artifacts, not one. Name them: {nothing}" in capsys.readouterr().err


def test_artifacts_of_one_name_are_told_apart_by_their_folders(tmp_path, capsys):
    paths = [tiny.write_null_artifact(tmp_path / each) for each in ("fast/onnx", "slow/onnx", "slow/other")]
    assert list(distinct_names([*paths, paths[0]]).values()) == ["fast/onnx", "slow/onnx", "other"]
    words = [*map(str, paths), "--target", "null", *SHORT_WORDS, "--output", str(tmp_path / "r.json")]
    assert main(["profile", *words]) == 0
    named = [report.artifact["name"] for report in read_reports(tmp_path / "r.json")]
    assert named == ["fast/onnx", "slow/onnx", "other"]
    assert main(["profile", *words, "--samples", str(tmp_path / "s")]) == 2
    assert "--samples is one file for one measurement" in capsys.readouterr().err


def test_a_link_is_called_as_it_is_and_not_as_its_target(tmp_path, monkeypatch):
    tiny.write_null_artifact(tmp_path / "run5" / "onnx")
    (tmp_path / "best").symlink_to("run5/onnx")
    monkeypatch.chdir(tmp_path / "run5" / "onnx")
    names = distinct_names([tmp_path / "best", tmp_path / "run5/onnx", Path(), Path("../onnx")])
    assert list(names.values()) == ["best", "onnx", "onnx", "onnx"]


def test_json_on_standard_output_is_the_report(nothing, capsys):
    assert main(["profile", str(nothing), "--target", "null", *SHORT_WORDS, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["engine"] == "null"
    assert value["latency"]["count"] == len(value["latency"]["samples_ms"])


@pytest.mark.parametrize("name", ["rpi", "jetson"])
def test_another_kind_of_computer_is_refused_with_the_two_ways_and_no_number(name, nothing, capsys):
    if target(name).is_here(Path("/")):
        pytest.skip(f"this machine is a {name}")
    assert main(["profile", str(nothing), "--target", name]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "--host" in said.err
    assert "bundle" in said.err
    assert len(said.err.splitlines()) == 1


def test_a_board_that_is_there_is_not_refused(tmp_path, monkeypatch):
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    refuse_elsewhere(target("rpi"), tmp_path)
    with pytest.raises(TargetError, match=r"\(Raspberry Pi 4 Model B Rev 1.4\) is no NVIDIA Jetson.* --host"):
        refuse_elsewhere(target("jetson"), tmp_path)
    monkeypatch.setenv(OVER_SSH, "1")
    with pytest.raises(TargetError, match="it is --target rpi") as refused:
        refuse_elsewhere(target("jetson"), tmp_path)
    assert "--host" not in str(refused.value)  # it is there that this is said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--target", "x68"], "Did you mean 'x86'"),
        (["--target", "null", "--num-runs", "0"], "--num-runs 0 is outside"),
        (["--target", "null", "--num-runs", "many"], "invalid int value"),
        (["--target", "null", "--input", "missing.png"], "no such image"),
        (["--target", "null", "--engine", "nul"], "Did you mean 'null'"),
        (["--target", "null", "--min-secs", "0", "--output", "/proc/none/r.json"], "cannot write /proc/none/r.json"),
    ],
)
def test_bad_words_are_one_line_and_exit_2(words, says, nothing, capsys):
    try:
        status = main(["profile", str(nothing), *words])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    said = capsys.readouterr().err
    assert says in said
    assert len(said.splitlines()) == 1


def test_a_measurement_ends_with_the_process_that_asked_for_it(nothing, tmp_path):
    words = ["profile", str(nothing), "--target", "null", "--min-secs", "60"]
    mine = {**os.environ, "TMPDIR": str(tmp_path)}  # a killed process cannot tidy up
    parent = subprocess.Popen([sys.executable, "-m", "segfast_edge", *words], stderr=subprocess.DEVNULL, env=mine)
    child = wait_for(lambda: Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split())
    wait_for(
        lambda: len(list(Path(f"/proc/{child[0]}/task").iterdir())) >= 3
    )  # it measures: the watch on standard input and the conditions
    parent.kill()
    parent.wait()
    wait_for(lambda: not Path(f"/proc/{child[0]}").exists())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_measurement_that_is_stopped_leaves_nothing_behind(number, nothing, tmp_path):
    words = ["profile", str(nothing), "--target", "null", "--min-secs", "60", "--output", str(tmp_path / "r.json")]
    own = tmp_path / "own"
    own.mkdir()
    mine = {**os.environ, "TMPDIR": str(own)}
    parent = subprocess.Popen([sys.executable, "-m", "segfast_edge", *words], stderr=subprocess.PIPE, env=mine)
    child = wait_for(lambda: Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split())
    wait_for(lambda: len(list(Path(f"/proc/{child[0]}/task").iterdir())) >= 3)
    parent.send_signal(number)
    _, said = parent.communicate(timeout=240)
    assert parent.returncode == 130
    assert said.decode().splitlines()[-1] == "segfast-edge: interrupted"
    assert not Path(f"/proc/{child[0]}").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["own"]


def wait_for(found, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return value


def test_repeated_measurements_keep_every_run_in_rounds(nothing, tmp_path, capsys):
    other = tiny.write_null_artifact(tmp_path / "other")
    words = ["profile", str(nothing), str(other), "--target", "null", *SHORT_WORDS, "--repeat", "3"]
    assert main([*words, "--output", str(tmp_path / "r.json")]) == 0
    names = [report.artifact["name"] for report in read_reports(tmp_path / "r.json")]
    assert names == ["nothing"] * 3 + ["other"] * 3  # by artifact; when each was measured is in it
    at_s = [report.conditions["started_at"] for report in read_reports(tmp_path / "r.json")]
    assert at_s[:3] == sorted(at_s[:3])
    assert at_s[0] <= at_s[5]
    assert at_s[3] <= at_s[2]  # the other was not left for the end
    said = capsys.readouterr().out
    assert "nothing: 3 processes: p50 " in said
    assert "other: 3 processes: p50 " in said
    assert main(["profile", str(nothing), "--repeat", "0"]) == 2
