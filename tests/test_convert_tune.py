"""Tuning: every lowering timed by the device's own code, the fastest kept, nothing measured twice."""

import json
from pathlib import Path

import pytest
import torch
from tiny_export import write_checkpoint

from segfast_edge.cli import main
from segfast_edge.contract.manifest import Manifest
from segfast_edge.errors import ConversionError, TargetError
from segfast_edge.export.common.lowerings import LOWERINGS
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.common.tuning import Timings, Tuning, candidates, place
from segfast_edge.export.convert import convert_tuned
from segfast_edge.profiling.timer import Timer

QUICK = {"num_runs": 3, "min_secs": 0.0}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return PreparedNetwork(write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.pt"))


class Stopping:
    """Notes every step, and interrupts at one of them as Ctrl-C does."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.timed: list[str] = []

    def __call__(self, step: str) -> None:
        if step.startswith("tuning: round"):
            if len(self.timed) == self.at:
                raise KeyboardInterrupt
            self.timed.append(step.rpartition(" ")[2])


def test_a_stopped_tuning_goes_on_where_it_was_and_keeps_the_fastest(source, tmp_path):
    request, how = ExportRequest("onnx", tmp_path / "a"), Tuning(Timer(threads=1, **QUICK), rounds=1)
    first, second = Stopping(at=2), Stopping()
    with pytest.raises(KeyboardInterrupt):
        convert_tuned(source, request, how, announce=first)
    assert [path.name for path in tmp_path.iterdir()] == [".a.tuning"]
    manifest = convert_tuned(source, request, how, announce=second)
    assert sorted(first.timed + second.timed) == sorted(LOWERINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]

    tuning = Manifest.load(tmp_path / "a").provenance["tuning"]
    assert set(tuning["medians_ms"]) == set(LOWERINGS)
    assert all(ms > 0 for each in tuning["medians_ms"].values() for ms in each)
    assert tuning["chosen"] == min(tuning["median_ms"], key=tuning["median_ms"].get)
    assert manifest.provenance["lowering"] == tuning["chosen"]
    assert tuning["threads"] == 1


def test_timings_of_another_checkpoint_are_not_taken_up(tmp_path):
    Timings(tmp_path / "t", {"checkpoint_sha256": "one"}).add("native", 1.0)
    assert Timings.resumed(tmp_path / "t", {"checkpoint_sha256": "one"}).medians_ms == {"native": [1.0]}
    assert Timings.resumed(tmp_path / "t", {"checkpoint_sha256": "two"}).medians_ms == {}
    assert not (tmp_path / "t").exists()


def test_a_candidate_that_failed_is_out(tmp_path):
    timings = Timings(tmp_path / "t", {})
    timings.add("native", 1.0)
    timings.add("dense", 3.0)
    timings.fail("native", "no kernel")
    assert timings.median_ms == {"dense": 3.0}


def test_without_a_transposed_convolution_there_is_one_candidate():
    assert candidates(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1))) == ["native"]
    assert candidates(torch.nn.Sequential(torch.nn.ConvTranspose2d(1, 1, 2))) == list(LOWERINGS)


def test_a_target_that_this_is_not_is_refused(source, tmp_path):
    with pytest.raises(ConversionError, match="no candidate could be timed"):
        convert_tuned(source, ExportRequest("onnx", tmp_path / "a"), Tuning(Timer("jetson", **QUICK), rounds=1))
    assert not (tmp_path / "a").exists()


def test_the_place_of_a_tuning_is_beside_its_artifact():
    assert place(Path("runs/a")) == Path("runs/.a.tuning")


def test_rounds_out_of_range_are_refused():
    with pytest.raises(TargetError, match="--tune-rounds 0 is outside 1 to 100"):
        Tuning(Timer(), rounds=0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--threads", "2"], "--threads is for --tune"),
        (["--host", "pi@pi"], "--host is for --tune"),
        (["--tune", "--lowering", "dense"], "leave --lowering dense out"),
    ],
)
def test_words_that_do_not_fit_together_are_refused(source, tmp_path, capsys, words, says):
    assert main(["convert", str(source.path), "--target", "onnx", "-o", str(tmp_path / "a"), *words]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_tunes(source, tmp_path, capsys):
    words = ["convert", str(source.path), "--target", "openvino", "-o", str(tmp_path / "a"), "--tune"]
    assert main([*words, "--tune-rounds", "1", "--threads", "1", "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)
    assert made["provenance"]["tuning"]["rounds"] == 1
