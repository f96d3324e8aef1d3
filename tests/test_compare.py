"""Comparing measurements: ratio, interval, verdict, exit status."""

import json
from dataclasses import replace

import numpy as np
import pytest

from segfast_edge.cli import main
from segfast_edge.contract.report import Latency, Memory, Report, reports_json
from segfast_edge.contract.shared.files import write_json
from segfast_edge.errors import ArtifactError
from segfast_edge.profiling.compare import Comparison, Question, Runs, compare


def report(median: float, *, name: str = "a", seed: int = 0, **more) -> Report:
    samples = tuple(np.random.default_rng(seed).normal(median, 0.02 * median, 200))
    fields = {
        "artifact": {"name": name, "format": "onnx"},
        "target": "x86",
        "engine": "onnxruntime",
        "executed_precision": "float32",
        "threads": 2,
        "import_ms": 10.0,
        "load_ms": 5.0,
        "first_inference_ms": 3.0,
        "latency": Latency(samples),
        "memory": Memory(3, 1),
        "stages": {"end_to_end": Latency(tuple(2 * sample for sample in samples))},
    }
    return Report(**(fields | more))


def runs(median: float, *, seed: int = 0, count: int = 4, spread: float = 0.004, **more) -> list[Report]:
    """Return reports of processes whose medians differ by ``spread``, as those of a quiet machine do."""
    draw = np.random.default_rng(1000 + seed)
    return [report(median * draw.normal(1, spread), seed=100 * seed + k, **more) for k in range(count)]


@pytest.fixture
def write(tmp_path):
    def put(name: str, *reports: Report):
        write_json(tmp_path / name, reports_json(list(reports)))
        return tmp_path / name

    return put


@pytest.mark.parametrize(
    ("other", "verdict"),
    [(8.0, "faster"), (9.9, "no difference"), (10.0, "no difference"), (10.1, "no difference"), (12.0, "slower")],
)
def test_the_verdict_follows_the_ratio_of_medians(other, verdict, write):
    (found,) = compare(write("a.json", *runs(10)), [write("b.json", *runs(other, seed=1))])
    low, high = found.interval
    assert found.verdict == verdict
    assert found.ratio == pytest.approx(other / 10, rel=0.01)
    assert low <= found.ratio <= high
    assert high - low < 0.05


def test_one_run_a_side_gives_no_verdict_however_far_they_lie_apart(write, capsys):
    one, several = write("a.json", report(10)), write("b.json", *runs(20))
    for base, other in ((one, write("c.json", report(30))), (one, several), (several, one)):
        (found,) = compare(base, [other])
        assert (found.verdict, found.interval) == ("cannot tell from one run", None)
    assert main(["compare", str(one), str(several), "--fail-if-slower", "5%"]) == 0
    said = capsys.readouterr()
    assert "cannot tell from one run" in said.out
    assert "segfast-edge profile ARTIFACT --repeat 6" in said.err
    assert len(said.err.splitlines()) == 1
    assert main(["compare", str(one), str(several), "--json"]) == 0
    assert '"slower"' not in capsys.readouterr().out
    assert main(["compare", str(one), str(several), "--require-valid"]) == 5


def test_an_invalid_run_prevents_a_verdict_unless_it_is_left_out(write, capsys):
    base = write("a.json", *runs(10))
    bad = report(30, seed=7, reasons=("throttled: under-voltage",))
    other = write("b.json", *runs(20, seed=1), bad)
    (strict,), (lenient,) = compare(base, [other]), compare(base, [other], Question(valid_only=True))
    assert (strict.verdict, lenient.verdict) == ("invalid", "slower")
    assert strict.notes == [f"{other} a has 1 invalid of 5 runs: throttled: under-voltage"]
    assert lenient.notes == [f"{other} a: 1 of 5 runs are invalid and were left out"]
    assert lenient.ratio == pytest.approx(2, rel=0.02)
    words = ["compare", str(base), str(other), "--fail-if-slower", "5%"]
    assert main(words) == 0
    assert "--valid-only" in capsys.readouterr().err
    assert main([*words, "--valid-only"]) == 1
    all_bad = write("c.json", *runs(20, reasons=("too few samples",)))
    assert compare(base, [all_bad], Question(valid_only=True))[0].verdict == "invalid"


@pytest.mark.parametrize("count", [2, 5])
def test_one_and_the_same_is_rarely_called_different(count):
    """Processes differ by a few percent, and some by more: the noise that single runs do not show."""
    draw, called, pairs = np.random.default_rng(5), 0, 100
    for _ in range(pairs):
        sides = []
        for _ in range(2):
            levels = 10 * np.exp(draw.normal(0, 0.03, count)) * np.where(draw.random(count) < 0.1, 1.15, 1)
            samples = [Latency(tuple(draw.normal(level, 0.1, 40))) for level in levels]
            sides.append(Runs("f", "a", tuple(replace(report(10), latency=each) for each in samples)))
        called += Comparison.of(*sides, Question(noise=0.0)).verdict in ("slower", "faster")
    assert called <= 9  # with a true rate of 5 %, more come about in 3 of 100 draws


def test_a_difference_inside_the_noise_is_none_however_sure_it_is(write):
    files = write("a.json", *runs(10)), [write("b.json", *runs(10.3, seed=1))]
    assert compare(*files, Question(noise=0.05))[0].verdict == "no difference"
    assert compare(*files, Question(noise=0.0))[0].verdict == "slower"


def test_runs_that_differ_from_process_to_process_widen_the_interval(write):
    base = write("a.json", *(report(10, seed=seed) for seed in range(5)))
    steady = write("b.json", *(report(10.5, seed=5 + seed) for seed in range(5)))
    jumpy = write("c.json", *(report(10.5 + jump, seed=9) for jump in (-1, 1, -0.6, 0.7, 0)))
    sure, unsure = compare(base, [steady, jumpy])
    assert sure.verdict == "slower"
    assert unsure.verdict == "no difference"
    assert unsure.interval[1] - unsure.interval[0] > 3 * (sure.interval[1] - sure.interval[0])


def test_a_stage_can_be_compared(write):
    found = compare(write("a.json", report(10)), [write("b.json", report(12, seed=1))], Question("end_to_end"))
    assert found[0].times_ms == pytest.approx((20, 24), rel=0.01)
    with pytest.raises(ArtifactError, match="no stage 'reed'; it has end_to_end, inference"):
        compare(write("a.json", report(10)), [write("b.json", report(12))], Question("reed"))


def test_artifacts_of_one_file_are_compared_with_its_first(write, capsys):
    path = write("a.json", *runs(10, name="old"), *runs(12, name="new", seed=1), *runs(8, name="other", seed=2))
    found = compare(path, [])
    assert [(each.base.name, each.other.name, each.verdict) for each in found] == [
        ("old", "new", "slower"),
        ("old", "other", "faster"),
    ]
    assert main(["compare", str(path), "--fail-if-slower", "5%"]) == 1


def test_a_low_percentile_looks_past_what_disturbs_half_of_the_samples(write, capsys):
    def disturbed(median, seed):
        draw = np.random.default_rng(seed)
        samples = draw.normal(median, 0.01 * median, 200)
        busy = draw.random() * 0.9  # of the samples of this process, slowed by up to half
        return tuple(samples * np.where(draw.random(200) < busy, draw.uniform(1, 1.5), 1))

    sides = [
        [replace(report(10), latency=Latency(disturbed(ms, 10 * k + j))) for j in range(6)]
        for k, ms in ((0, 10), (1, 10.8))
    ]
    files = write("a.json", *sides[0]), write("b.json", *sides[1])
    (by_median,), (low,) = compare(files[0], [files[1]]), compare(files[0], [files[1]], Question(rank=5))
    assert (by_median.verdict, low.verdict) == ("no difference", "slower")
    assert low.ratio == pytest.approx(1.08, abs=0.01)
    assert main(["compare", *map(str, files), "--rank", "5", "--json"]) == 0
    (value,) = json.loads(capsys.readouterr().out)
    assert value["base_p5_ms"] == pytest.approx(9.9, abs=0.1)
    assert main(["compare", *map(str, files), "--rank", "0"]) == 2
    assert "--rank 0 is outside 1 to 99" in capsys.readouterr().err


def test_artifacts_are_matched_by_name_where_there_are_several(write):
    base = write("a.json", report(10, name="x"), report(20, name="y"))
    other = write("b.json", report(30, name="y"), report(5, name="z"))
    (found,) = compare(base, [other])
    assert (found.base.name, found.other.name) == ("y", "y")
    assert found.notes == [
        f"x is in {base} only, and was not compared",
        f"z is in {other} only, and was not compared",
    ]
    with pytest.raises(ArtifactError, match=r"no artifact in common with .*a.json \(x, y\)"):
        compare(base, [write("c.json", report(5, name="z"))])


def named(name, median=10.0, sha256=None, device=None):
    return report(median, artifact={"name": name, "sha256": sha256}, machine={"device": device})


@pytest.mark.parametrize(
    ("base", "other", "pairs"),
    [
        # what else was profiled decides how much of a name is told
        (["fast/onnx", "slow/onnx"], ["slow/onnx", "tflite"], [("slow/onnx", "slow/onnx")]),
        (["run/fast/onnx", "old/fast/onnx"], ["old/fast/onnx", "x"], [("old/fast/onnx", "old/fast/onnx")]),
        (["fast/onnx", "tflite"], ["onnx", "lite"], [("fast/onnx", "onnx")]),
        (["onnx"], ["fast/onnx", "fast/tflite"], [("onnx", "fast/onnx")]),
        (["a:1", "b:2"], ["c:2", "d:3"], [("b", "c")]),
        # a rebuilt artifact keeps its name; the name decides before the checksum
        (["a:1", "b:2"], ["a:2", "b:1"], [("a", "a"), ("b", "b")]),
        (["fast/onnx:1", "slow/onnx:2"], ["onnx:2"], [("slow/onnx", "onnx")]),
    ],
)
def test_artifacts_find_each_other_by_name_model_or_the_end_of_a_name(base, other, pairs, write):
    sides = []
    for side in (base, other):
        parts = [each.partition(":") for each in side]
        sides.append([named(name, sha256=digest or None) for name, _, digest in parts])
    found = compare(write("a.json", *sides[0]), [write("b.json", *sides[1])])
    assert [(each.base.name, each.other.name) for each in found] == pairs


def test_what_could_be_either_or_is_another_devices_is_not_guessed(write):
    base = write("a.json", named("fast/onnx", sha256="1"), named("slow/onnx", sha256="2"))
    for other in (named("onnx", sha256="3"), named("fast/onnx", sha256="1", device="pi"), named("lonnx")):
        with pytest.raises(ArtifactError, match="no artifact in common"):
            compare(base, [write("b.json", other)])


def test_an_artifact_that_went_missing_fails_what_must_not_be_slower(write, capsys):
    base = str(write("a.json", *runs(10, name="x"), *runs(10, name="y")))
    renamed = str(write("b.json", *runs(10, name="x"), report(30, name="z")))
    more = str(write("c.json", *runs(10, name="x"), *runs(10, name="y"), report(10, name="z")))
    assert main(["compare", base, renamed]) == 0
    assert main(["compare", base, more, "--fail-if-slower", "5%"]) == 0
    capsys.readouterr()
    assert main(["compare", base, renamed, "--fail-if-slower", "5%"]) == 1
    assert capsys.readouterr().err == f"segfast-edge: y is in {base} only: cannot tell whether it is slower\n"


def test_two_devices_and_two_artifacts_of_one_name_are_no_repeated_runs(write):
    here, there = ({"device": name} for name in ("pi 4", "pi 5"))
    base = write("a.json", *runs(10, machine=here), *runs(40, machine=there))
    slower = write("b.json", *runs(10, machine=here, seed=1), *runs(50, machine=there, seed=1))
    four, five = compare(base, [slower])
    assert [(each.base.name, each.verdict) for each in (four, five)] == [
        ("a on pi 4", "no difference"),
        ("a on pi 5", "slower"),
    ]
    mixed = write("c.json", *(report(10, artifact={"name": "a", "sha256": digest}) for digest in "12"))
    with pytest.raises(ArtifactError, match="different artifacts that are all called a"):
        compare(mixed, [base])


def test_what_else_differs_and_what_is_invalid_is_noted(write):
    base = write("a.json", report(10, machine={"processor": "slow"}))
    other = report(9, threads=1, reasons=("throttled: under-voltage",), machine={"processor": "fast"})
    (found,) = compare(base, [write("b.json", other)])
    assert found.notes == [
        "threads: 2 against 1",
        "processor: slow against fast",
        f"{base.parent / 'b.json'} a is invalid: throttled: under-voltage",
    ]


def test_the_verb_prints_a_table_and_exits_1_only_when_slower_than_allowed(write, capsys):
    base, slower = str(write("a.json", *runs(10))), str(write("b.json", *runs(11, seed=1)))
    assert main(["compare", base, slower]) == 0
    assert "slower" in capsys.readouterr().out
    assert main(["compare", base, slower, "--fail-if-slower", "5%"]) == 1
    assert main(["compare", base, slower, "--fail-if-slower", "0.2"]) == 0
    assert main(["compare", slower, base, "--fail-if-slower", "5%"]) == 0


def test_in_a_pipe_a_row_is_a_line_however_long_the_names(write, monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    names = "segfast-openvino-int8-percentile", "segfast-openvino-int8-minmax-with-layers"
    files = [str(write(f"{name}.json", *runs(10, name=name))) for name in names]
    assert main(["compare", *files]) == 0
    assert any(all(word in line for word in (*names, "no difference")) for line in capsys.readouterr().out.splitlines())


def test_json_has_the_ratio_and_the_verdict(write, capsys):
    assert main(["compare", str(write("a.json", *runs(10))), str(write("b.json", *runs(8))), "--json"]) == 0
    (value,) = json.loads(capsys.readouterr().out)
    assert value["verdict"] == "faster"
    assert value["interval"][0] <= value["ratio"] <= value["interval"][1]
    assert value["base"]["artifact"] == "a"


def test_require_valid_exits_5_if_one_is_invalid(write):
    base = str(write("a.json", *runs(10)))
    invalid = str(write("b.json", *runs(10, reasons=("too few samples",))))
    assert main(["compare", base, base, "--require-valid"]) == 0
    assert main(["compare", base, invalid]) == 0
    assert main(["compare", base, invalid, "--require-valid"]) == 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a.json", "missing.json"], "report missing.json does not exist"),
        (["a.json", "broken.json"], "is not readable"),
        (["a.json", "foreign.json"], "foreign.json: report has version 99; this release reads 1"),
        (["a.json", "a.json", "--fail-if-slower", "much"], "'much' is not a share"),
        (["a.json", "a.json", "--noise=-1%"], "'-1%' is not a share"),
        (["a.json"], "a.json has one artifact, a; give another report, or profile both in one call"),
        ([], "required: BASE.json"),
    ],
)
def test_bad_words_are_one_line_and_exit_2(words, says, write, tmp_path, monkeypatch, capsys):
    write("a.json", report(10))
    (tmp_path / "broken.json").write_text('{"report_version": 1, ')
    (tmp_path / "foreign.json").write_text('{"report_version": 99}')
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["compare", *words])
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr().err
    assert status == 2
    assert says in said
    assert len(said.splitlines()) == 1
