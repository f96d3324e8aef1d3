"""Profiles by cores and over minutes: thread counts, pinning, and whether the speed is kept."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_artifacts as tiny

from segfast_edge.cli import main
from segfast_edge.contract.profile_options import ProfileOptions, core_numbers
from segfast_edge.contract.report import Latency, Memory, Report, read_reports
from segfast_edge.contract.sustained import sustained, verdict
from segfast_edge.device.code import device_code
from segfast_edge.errors import TargetError
from segfast_edge.profiling.compare import read_runs
from segfast_edge.profiling.local import profile
from segfast_edge.profiling.threads_curve import counts, curve
from targets.common.affinity import pin

SHORT = ["--num-runs", "40", "--min-secs", "0", "--warmup-runs", "2", "--max-secs", "3"]


@pytest.fixture(scope="module")
def nothing(tmp_path_factory) -> Path:
    return tiny.write_null_artifact(tmp_path_factory.mktemp("artifacts") / "nothing")


@pytest.fixture
def affinity():
    """Give the cores that this process may run on, and give them back to it afterwards."""
    before = os.sched_getaffinity(0)
    yield sorted(before)
    os.sched_setaffinity(0, before)


def measured(threads: int, ms: float) -> Report:
    samples = Latency(tuple(ms + 0.01 * (place % 3) for place in range(40)))
    return Report({"name": "a"}, "x86", "litert", "float32", threads, 1.0, 1.0, 1.0, samples, Memory(2, 1))


@pytest.mark.parametrize(
    ("wish", "cores", "numbers"),
    [("", 1, [1]), ("", 4, [1, 2, 4]), ("", 6, [1, 2, 4, 6]), ("", 2, [1, 2]), ("3,1, 3", 0, [1, 3])],
)
def test_threads_are_powers_of_two_up_to_all_cores_or_those_named(wish, cores, numbers):
    assert counts(wish, cores) == numbers


def test_no_more_threads_are_recommended_than_gain_something():
    times = {1: 10.0, 2: 5.2, 4: 5.1, 8: 7.0}
    points = curve("a", [measured(threads, ms) for threads, ms in times.items() for _ in range(3)])
    assert [(each.threads, each.processes, each.recommended) for each in points] == [
        (1, 3, False),
        (2, 3, True),
        (4, 3, False),
        (8, 3, False),
    ]
    assert points[0].p50_ms == pytest.approx(10.01)
    (alone,) = curve("a", [measured(1, 10.0)])
    assert alone.recommended
    disturbed = replace(measured(2, 5.0), reasons=("throttled: heat",))
    assert not any(each.recommended for each in curve("a", [measured(1, 10.0), disturbed]))


def test_the_verb_measures_every_number_of_threads_and_keeps_them_apart(tmp_path, capsys):
    artifact = tiny.write_artifact(tmp_path / "tiny", "tflite")
    words = ["profile", str(artifact), *SHORT, "--threads-curve", "1,2", "--repeat", "2"]
    assert main([*words, "--output", str(tmp_path / "r.json")]) == 0
    shown = capsys.readouterr().out
    assert "latency by threads" in shown
    assert shown.count("recommended") == 1  # or that none is, on a machine that is too busy
    reports = read_reports(tmp_path / "r.json")
    assert (
        sorted((each.title, each.threads) for each in reports)
        == [("tiny, 1 thread", 1)] * 2 + [("tiny, 2 threads", 2)] * 2
    )
    assert sorted(len(runs.reports) for runs in read_runs(tmp_path / "r.json").values()) == [2, 2]
    points = json.loads((tmp_path / "r.json").read_text())["threads_curve"]
    assert [(each["artifact"], each["threads"], each["processes"]) for each in points] == [
        ("tiny", 1, 2),
        ("tiny", 2, 2),
    ]


def test_a_pinned_process_runs_on_its_core_only(nothing, tmp_path):
    core = max(os.sched_getaffinity(0))
    code = device_code(tmp_path / "device")
    words = ["profile", str(nothing), "--pin", str(core), "--min-secs", "60", "--json"]
    child = subprocess.Popen([sys.executable, "-m", "targets", "null", *words], cwd=code, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while (allowed := _allowed(child.pid)) != str(core):
            assert time.monotonic() < deadline, f"it may run on {allowed}"
            time.sleep(0.05)
    finally:
        child.kill()
        child.wait()
    report = profile(nothing, target="null", plan=ProfileOptions(num_runs=40, min_secs=0, pin=str(core)))
    assert report.conditions["pinned_cores"] == [core]
    assert report.machine["usable_cores"] == 1
    assert report.threads == 1  # unasked, no more than the cores that are left


def _allowed(pid: int) -> str:
    """Return what the kernel says the process may run on."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("Cpus_allowed_list"))


@pytest.mark.parametrize("file", ["cpu_capacity", "cpufreq/cpuinfo_max_freq"])
@pytest.mark.parametrize("wish", ["big", "little"])
def test_big_and_little_cores_are_told_by_what_the_kernel_knows(wish, file, affinity, tmp_path):
    if len(affinity) < 2:
        pytest.skip("one core is neither big nor little")
    for core in affinity:
        path = tmp_path / f"sys/devices/system/cpu/cpu{core}" / file
        path.parent.mkdir(parents=True)
        path.write_text("446\n" if core == affinity[0] else "1024\n")
    pin(wish, tmp_path)
    assert os.sched_getaffinity(0) == (set(affinity[1:]) if wish == "big" else {affinity[0]})


def test_cores_that_are_alike_or_missing_are_refused(affinity, tmp_path):
    with pytest.raises(TargetError, match="--pin big: this computer's cores are alike"):
        pin("big", tmp_path)
    with pytest.raises(TargetError, match=r"--pin 0,4095: this process may not run on core 4095"):
        pin("0,4095", tmp_path)
    assert sorted(os.sched_getaffinity(0)) == affinity
    assert core_numbers("0-2,5") == {0, 1, 2, 5}


def along(minutes: float, last_ms: float) -> tuple[list[float], dict]:
    """Return samples of 10 ms, in the last 70 s of ``last_ms``, with clock and temperature once a second."""
    at_s, samples, ends = 0.0, [], []
    while at_s < 60 * minutes:
        ms = last_ms if at_s > 60 * minutes - 70 else 10.0
        at_s += ms / 1000
        samples.append(ms)
        ends.append(at_s)
    hot = 60 * minutes - 70
    timeline = [
        [float(s), 1500.0 if s > hot else 2400.0, 84.0 if s > hot else 61.0, None] for s in range(int(at_s) + 1)
    ]
    return samples, {"ends_s": {"latency": ends}, "timeline": timeline}


def test_a_board_that_becomes_hot_and_slow_is_told():
    found = sustained(*along(10, 12.5))
    assert found["window_s"] == 60
    assert found["first"] == {"p50_ms": 10.0, "mhz": 2400.0, "celsius": 61.0}
    assert found["last"] == {"p50_ms": 12.5, "mhz": 1500.0, "celsius": 84.0}
    assert verdict(found) == "slows down by 25%: p50 10.00 to 12.50 ms, 2400 to 1500 MHz, 61 to 84 °C"


def test_a_board_without_sensors_that_keeps_its_speed_is_told():
    samples, conditions = along(3, 10.0)
    found = sustained(samples, {"ends_s": conditions["ends_s"]})
    assert verdict(found) == "keeps its speed: p50 10.00 to 10.00 ms"
    assert sustained(samples, {}) == {}


def test_a_sustained_run_lasts_as_long_as_asked_and_says_how_it_ended(nothing, capsys, tmp_path):
    words = ["profile", str(nothing), "--target", "null", "--sustained", "0.02", *SHORT]
    assert main([*words, "--output", str(tmp_path / "r.json")]) == 0
    assert "keeps its speed: " in capsys.readouterr().out.replace("slows down by", "keeps its speed: ")
    (report,) = read_reports(tmp_path / "r.json")
    assert sum(report.latency.samples_ms) <= 1000 * report.conditions["ends_s"]["latency"][-1]
    assert report.conditions["ends_s"]["latency"][-1] >= 1.2
    assert report.conditions["sustained"]["window_s"] == pytest.approx(0.6, rel=0.2)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--pin", "fast"], "--pin fast: give cores such as 0-1 or 4,6, or big or little"),
        (["--pin", "3-1"], "3-1 ends before it begins"),
        (["--threads-curve", "1,zero"], "--threads-curve 1,zero: give numbers of threads such as 1,2,4"),
        (["--threads-curve", "--threads", "2"], "--threads and --threads-curve exclude each other"),
        (["--threads-curve", "--pin", "big"], "name the numbers of threads"),
        (["--sustained", "2000"], "--sustained 2000 is outside 0 to 1440"),
        (["--sustained", "1", "--scenario", "constant-stream"], "--sustained runs inferences one after another"),
    ],
)
def test_bad_words_are_one_line_and_exit_2(words, says, nothing, capsys):
    assert main(["profile", str(nothing), "--target", "null", *words]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert len(said.splitlines()) == 1
