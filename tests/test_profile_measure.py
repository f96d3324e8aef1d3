"""Timing loops, the statistics of their samples, the plan and the report."""

import argparse
import json
import math
import statistics
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segfast_edge.contract.profile_options import ProfileOptions, add_profile_arguments, profile_options_from
from segfast_edge.contract.report import Latency, Memory, Report, read_reports, reports_json
from segfast_edge.contract.report_text import figures
from segfast_edge.contract.shared.bootstrap import (
    median_interval,
    median_ratio_interval,
    percentile,
    student_t,
    variation,
)
from segfast_edge.contract.shared.files import write_json
from segfast_edge.errors import ArtifactError, TargetError
from targets.common import measure
from targets.common.memory import MemoryMeter

SAMPLES = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=60)


@given(SAMPLES, st.floats(0, 100))
def test_percentiles_are_numpys(samples, rank):
    assert percentile(samples, rank) == pytest.approx(float(np.percentile(samples, rank)), rel=1e-12)


def test_statistics_of_nothing_are_not_a_number():
    assert math.isnan(percentile([], 50))
    assert math.isnan(variation([1.0]))
    assert all(map(math.isnan, median_interval([])))


def test_variation_is_standard_deviation_over_mean():
    assert variation([1.0, 2.0, 3.0]) == pytest.approx(statistics.stdev([1, 2, 3]) / 2)


def test_the_interval_of_the_median_holds_the_true_median_about_as_often_as_it_says():
    draw = np.random.default_rng(3)
    held = 0
    for _ in range(30):
        low, high = median_interval(draw.lognormal(0, 0.5, 80).tolist())
        held += low <= 1.0 <= high
    assert 25 <= held <= 30  # 95 % of 30 is 28.5


def test_samples_that_follow_one_another_give_a_wider_interval():
    draw = np.random.default_rng(5)
    steps = draw.normal(0, 1, 400)
    slow = np.convolve(steps, np.ones(20), "valid") + 100
    shuffled = draw.permutation(slow)

    def width(samples):
        low, high = median_interval(samples.tolist())
        return high - low

    assert width(slow) > 1.5 * width(shuffled)


@pytest.mark.parametrize(
    ("freedom", "reach"), [(1, 12.706), (2, 4.303), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (1000, 1.962)]
)
def test_students_t_is_that_of_the_tables(freedom, reach):
    assert student_t(freedom) == pytest.approx(reach, abs=0.001)


def test_the_interval_of_a_ratio_holds_the_true_ratio_about_as_often_as_it_says():
    draw, held, tries = np.random.default_rng(9), 0, 200
    for _ in range(tries):
        sides = [
            [draw.normal(level, 0.2, 40).tolist() for level in middle * np.exp(draw.normal(0, 0.05, count))]
            for middle, count in ((12, 3), (10, 5))
        ]
        low, high = median_ratio_interval(*sides)
        held += low <= 1.2 <= high
    assert 0.90 * tries <= held <= 0.99 * tries
    assert median_ratio_interval(sides[0][:1], sides[1]) is None


def test_runs_that_are_alike_by_chance_are_no_surer_than_each_is_by_itself():
    run = np.random.default_rng(3).normal(10, 2, 60).tolist()
    low, high = median_ratio_interval([run, run], [run, run])
    assert low < 0.97
    assert high > 1.03


def test_an_interval_is_the_same_every_time():
    samples = np.random.default_rng(1).normal(5, 1, 100).tolist()
    assert median_interval(samples) == median_interval(samples)


def plan(**more) -> ProfileOptions:
    return ProfileOptions(**{"num_runs": 5, "min_secs": 0.0, "max_secs": 5.0, "warmup_runs": 0, **more})


def test_runs_go_on_until_both_count_and_seconds_are_reached():
    assert len(measure.single_stream(lambda: None, plan(num_runs=7)).samples_ms) == 7
    slow = measure.single_stream(lambda: time.sleep(0.01), plan(num_runs=3, min_secs=0.15))
    assert 10 <= len(slow.samples_ms) <= 16
    assert all(sample >= 10 for sample in slow.samples_ms)


def test_runs_stop_when_the_time_is_up_but_never_without_a_sample():
    start = time.monotonic()
    few = measure.single_stream(lambda: time.sleep(0.06), plan(num_runs=1000, max_secs=0.1))
    assert 1 <= len(few.samples_ms) <= 3
    assert time.monotonic() - start < 1
    assert len(measure.single_stream(lambda: time.sleep(0.2), plan(max_secs=0.1)).samples_ms) == 1


def test_no_sample_is_dropped_however_long_it_took():
    pauses = iter([0.001, 0.001, 0.2, 0.001, 0.001])
    samples = measure.single_stream(lambda: time.sleep(next(pauses)), plan()).samples_ms
    assert max(samples) == samples[2] >= 200


def test_warm_up_goes_on_until_the_times_are_stable():
    pauses = iter([0.02] * 12 + [0.002] * 1000)
    warm = measure.warm_up(lambda: time.sleep(next(pauses)), plan(warmup_runs=3))
    assert warm["stable"] is True
    assert warm["runs"] >= 22  # two windows of ten; the first ones hold the slow start


def test_warm_up_that_never_settles_ends_and_says_so():
    pauses = (0.001 * 1.2**index for index in range(1000))
    warm = measure.warm_up(lambda: time.sleep(next(pauses)), plan(max_secs=0.3))
    assert warm["stable"] is False


def test_stages_are_timed_separately_and_together():
    latencies = measure.staged(lambda: {"read": 2_000_000, "inference": 3_000_000}, plan())
    assert latencies["read"].samples_ms == (2.0,) * 5
    assert latencies["end_to_end"].samples_ms == (5.0,) * 5


def test_a_stream_that_keeps_up_drops_nothing():
    stages, stream = measure.constant_stream(lambda: {"inference": 1}, plan(num_runs=4, target_fps=5))
    assert (stream["arrived"], stream["taken"], stream["dropped"]) == (4, 4, 0)
    assert len(stages["inference"].samples_ms) == 4


def test_a_stream_that_cannot_keep_up_takes_the_freshest_and_counts_the_rest():
    def slow():
        time.sleep(0.05)
        return {"inference": 50_000_000}

    _, stream = measure.constant_stream(slow, plan(num_runs=8, max_secs=60, target_fps=100))
    assert stream["taken"] == 8
    assert stream["arrived"] == stream["taken"] + stream["dropped"]
    assert stream["dropped"] >= 3 * stream["taken"]
    assert stream["missed"] == 8
    assert stream["age"]["p50_ms"] >= 50
    assert stream["deadline_ms"] == 10


def test_memory_shows_what_a_phase_took_and_let_go():
    meter = MemoryMeter(Path("/"))
    block = np.ones(40_000_000, np.uint8)
    meter.phase_ends("big")
    del block
    meter.phase_ends("freed")
    meter.phase_ends("small")
    memory = meter.memory(shared_with_gpu=False)
    assert 35e6 < memory.over_baseline_bytes < 80e6
    assert memory.available_drop_bytes is None
    if memory.phases:
        assert memory.phases["big"] - memory.phases["small"] > 35e6


def test_a_plan_survives_the_way_through_the_command_line():
    asked = ProfileOptions(
        threads=1, engine="null", num_runs=9, min_secs=0.5, scenario="constant-stream", input="a b.png"
    )
    parser = argparse.ArgumentParser()
    add_profile_arguments(parser)
    assert profile_options_from(parser.parse_args(asked.words())) == asked
    assert profile_options_from(parser.parse_args([])) == ProfileOptions()
    assert ProfileOptions().words() == []
    assert profile_options_from(parser.parse_args(["--num-threads", "3"])).threads == 3


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"threads": -1}, "--threads -1 is outside 0 to 1024"),
        ({"num_runs": 0}, "--num-runs 0 is outside 1"),
        ({"min_secs": math.nan}, "--min-secs nan"),
        ({"percentile": 101.0}, "--percentile 101 is outside 0 to 100"),
        ({"target_fps": 0.0}, "--target-fps 0 is outside"),
        ({"scenario": "constant-steam"}, "Did you mean 'constant-stream'"),
    ],
)
def test_a_plan_out_of_range_is_refused(wrong, says):
    with pytest.raises(TargetError, match=says):
        ProfileOptions(**wrong)


def report(**more) -> Report:
    fields = {
        "artifact": {"name": "a", "format": "onnx"},
        "target": "x86",
        "engine": "onnxruntime",
        "executed_precision": "float32",
        "threads": 2,
        "import_ms": 10.0,
        "load_ms": 5.0,
        "first_inference_ms": 3.0,
        "cold_start_ms": 100.0,
        "latency": Latency((1.0, 2.0, 4.0)),
        "memory": Memory(30_000_000, 10_000_000, 25_000_000, None, {"load": 20_000_000}),
        "stages": {"read": Latency((0.5, 0.6))},
        "warm_up": {"runs": 12, "stable": True},
        "conditions": {"alarms": [], "foreign_cpu_share": 0.01},
        "reasons": ("too few samples: 3; at least 30",),
    }
    return Report(**(fields | more))


def test_a_person_reads_memory_by_phase_and_what_went_on_around():
    around = {
        "frequency_mhz": {"first": 600.0, "least": 600.0, "median": 1500.0, "most": 1500.0},
        "temperature_c": {"first": 61.0, "least": 61.0, "median": 61.0, "most": 61.0},
        "governors": ["ondemand"],
        "battery": "Discharging",
        "foreign_cpu_share": 0.014,
        "started_at": "2026-05-04T03:02:01Z",
    }
    machine = {"power_mode": "15W"}
    shown = figures(report(conditions=around, machine=machine, versions={"onnxruntime": "1.32.0", "numpy": "2.4.6"}))
    assert shown["runtime"] == "onnxruntime 1.32.0"
    assert shown["warm-up"] == "12 runs, stable"
    assert (shown["memory"], shown["- load"], shown["baseline"]) == ("20.0 MB", "10.0 MB", "10.0 MB")
    assert shown["proportional (PSS)"] == "25.0 MB"
    assert "MemAvailable fell by" not in shown  # only where the GPU shares the memory
    assert (shown["clock"], shown["temperature"]) == ("600 to 1500 MHz", "61 °C")
    assert (shown["governor"], shown["power mode"], shown["battery"]) == ("ondemand", "15W", "Discharging")
    assert shown["other processes"] == "1% of the cores"
    assert shown["measured"] == "2026-05-04 03:02:01 UTC"
    assert list(shown)[-1] == "valid"


def test_a_report_survives_json(tmp_path):
    one, other = report(), report(reasons=(), threads=1, latency=Latency((1.0, 1.1) * 20))
    write_json(tmp_path / "one.json", reports_json([one]))
    write_json(tmp_path / "two.json", reports_json([one, other]))
    assert read_reports(tmp_path / "one.json") == [one]
    assert read_reports(tmp_path / "two.json") == [one, other]
    assert not one.valid
    assert other.valid


def test_the_json_has_the_derived_figures_beside_the_samples():
    value = report().to_json()
    assert value["latency"]["p50_ms"] == 2.0
    assert value["latency"]["samples_ms"] == [1.0, 2.0, 4.0]
    assert value["latency"]["throughput_fps"] == pytest.approx(3000 / 7)
    assert value["memory"]["over_baseline_bytes"] == 20_000_000
    assert value["valid"] is False
    json.dumps(report(latency=Latency((1.0,))).to_json(), allow_nan=False)  # one sample has no variation


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ({"report_version": 99}, "version 99; this release reads 1"),
        ({"latency": {"samples_ms": []}}, "at least one number"),
        ({"latency": {"samples_ms": [1, -2]}}, "each above zero"),
        ({"latency": {"samples_ms": "123"}}, "TypeError '123' is not a list"),
        ({"latency": {"samples_ms": ["1", "2"]}}, "TypeError '1' is not a number"),
        ({"latency": {"samples_ms": [True, 2]}}, "TypeError True is not a number"),
        ({"latency": {"samples_ms": {"1": 2}}}, "is not a list"),
        ({"gpu": {"samples_ms": "123"}}, "TypeError '123' is not a list"),
        ({"reasons": "throttled"}, "TypeError 'throttled' is not a list"),
        ({"conditions": {"alarms": "hot"}}, "TypeError 'hot' is not a list"),
        ({"conditions": {"ends_s": {"latency": "123"}}}, "TypeError '123' is not a list"),
        ({"conditions": {"load": {"measured_s": 4}}}, "KeyError 'disturbed_s'"),
        ({"conditions": {"layers": {"alarms": 3}}}, "TypeError 3 is not a list"),
        ({"memory": {"phases": {}}}, "not valid: KeyError"),
        ({"stages": 3}, "not valid"),
        ({"layers": [{"name": "conv"}]}, "not valid: KeyError 'type'"),
        ({"stream": {"target_fps": 30}}, "not valid: KeyError 'deadline_ms'"),
        ({"conditions": {"timeline": [[0.0, 1500.0]]}}, "not valid: ValueError"),
        ({"conditions": {"timeline": [[0.0, "fast", None, None]]}}, "TypeError 'fast' is not a number"),
        ({"conditions": {"temperature_c": {"first": 50.0}}}, "not valid: KeyError 'least'"),
        ({"conditions": {"ends_s": {"latency": 3}}}, "not valid: TypeError"),
        ({"conditions": {"governors": [1]}}, "not valid: TypeError 1 is not a text"),
        ({"conditions": {"governors": None}}, "not valid: TypeError None is not a list"),
        ({"conditions": {"governors": "schedutil"}}, "not valid: TypeError 'schedutil' is not a list"),
        ({"conditions": {"energy_per_frame_j": 1.0}}, "energy_per_frame_j is given without watts"),
        ({"versions": {"onnxruntime": None}}, "not valid: TypeError None is not a text"),
        ({"versions": {"onnxruntime": 1.2}}, "not valid: TypeError 1.2 is not a text"),
        ({"machine": {"memory_bytes": "much"}}, "TypeError 'much' is not a whole number"),
        ({"artifact": {"name": "a", "sha256": ["1"]}}, r"not valid: TypeError \['1'\] is not a text"),
    ],
)
def test_a_report_that_is_none_is_one_clear_error(spoil, says, tmp_path):
    write_json(tmp_path / "r.json", report().to_json() | spoil)
    with pytest.raises(ArtifactError, match=says):
        read_reports(tmp_path / "r.json")


def test_whether_a_report_is_valid_is_worked_out_again():
    good = report(latency=Latency((2.0, 2.1) * 50), reasons=(), conditions={}).to_json()
    assert Report.from_json(good).valid
    load = {"measured_s": 4.0, "disturbed_s": 0.7, "foreign_cores": [0, 1]}
    for spoilt, says in (
        ({"latency": {"samples_ms": [2.0, 2.1]}}, "too few samples: 2; at least 30"),
        (
            {"conditions": {"foreign_cpu_share": 0.5}},
            "foreign load: other processes took 50% of the cores; at most 10%",
        ),
        ({"conditions": {"load": load}}, "foreign load: other processes took over 0.3 of a core for 0.7 of 4.0 s"),
        ({"valid": False}, "marked as invalid, without a reason"),
        ({"reasons": ["throttled: heat"]}, "throttled: heat"),
    ):
        (reason,) = Report.from_json(good | spoilt).reasons
        assert reason.startswith(says)
    twice = report(latency=Latency((2.0,)), reasons=("too few samples: 1; at least 30",))
    assert Report.from_json(twice.to_json()).reasons == ("too few samples: 1; at least 30",)


def test_whole_numbers_in_a_report_are_read_as_what_its_fields_are():
    stream = dict.fromkeys(("target_fps", "deadline_ms", "arrived", "taken", "dropped", "missed"), 1)
    conditions = {
        "timeline": [[0, 1500, None, None, 0.5]],
        "ends_s": {"latency": [1]},
        "frequency_mhz": {"least": 1, "most": 2},
        "foreign_cpu_share": 0.1,
        "energy_per_frame_j": 1,
        "watts": 2,
    }
    spoilt = {
        "stream": stream | {"age": {"p50_ms": 1, "p99_ms": 2}},
        "conditions": conditions,
        "machine": {"memory_bytes": 8},
    }
    read = Report.from_json(report().to_json() | spoilt)
    shown = figures(read)
    assert shown["clock"] == "1 to 2 MHz"
    assert shown["other processes"] == "10% of the cores"
    assert shown["energy"] == "1000.00 mJ a frame, 2.0 W"
    assert shown["stream at 1 frames/s"] == "1 arrived, 1 dropped, 1 past the deadline"
    assert shown["frame age"] == "p50 1.00 ms, p99 2.00 ms; deadline 1.00 ms"
    assert read.conditions["timeline"] == [[0.0, 1500.0, None, None, 0.5]]
    assert read.conditions["ends_s"] == {"latency": [1.0]}
    assert read.machine["memory_bytes"] == 8


def test_a_file_without_any_report_is_refused(tmp_path):
    write_json(tmp_path / "r.json", {"reports": []})
    with pytest.raises(ArtifactError, match="holds no report"):
        read_reports(tmp_path / "r.json")
