"""The runner's log: no name of a file and no camera can forge or flood it."""

import json
import logging
import os
import re
import signal
import subprocess
import sys

import pytest
import tiny_artifacts as tiny
from fuzzing import tries
from hypothesis import given
from hypothesis import strategies as st
from test_runner_service import ended, running
from tiny_runner import ROOT, jpeg, proven_artifact

from segfast_edge.errors import printable
from targets.runner import journal
from targets.runner.journal import OneLine, Repeats

NAMES = [b"caf\xe9", b"a\nsegfast: INFO state: running", b"\x1b[2J\x1b[31mred", b"\xff\xfe", b"plain"]
NAMES.append("right to left \u202egnp".encode())
UNPRINTABLE = b"/\xe9\x1b\nx.png"


@pytest.fixture
def folder(tmp_path):
    """Write a sound and a damaged picture under each name that a file system allows and a log does not expect."""
    (tmp_path / "in").mkdir()
    for name in NAMES:
        for suffix, data in ((b".jpg", jpeg(tiny.frame())), (b".bad.jpg", b"no picture")):
            (tmp_path / "in" / os.fsdecode(name + suffix)).write_bytes(data)
    return tmp_path / "in"


def test_no_name_of_a_file_ends_the_runner_or_forges_a_line(folder, tmp_path):
    words = (proven_artifact(tmp_path / "a"), folder, "jsonl:-", f"masks:{tmp_path}/m", f"jsonl:{tmp_path}/lines")
    with running(*words, "--status-file", tmp_path / "status.json") as child:
        status, out, errors = ended(child)
    assert status == 0, errors
    lines = [json.loads(line) for line in out.decode().splitlines()]
    assert [line["state"] for line in lines] == ["running"] * len(NAMES)
    assert (tmp_path / "lines").read_bytes() == out
    assert json.loads((tmp_path / "status.json").read_text())["frames"]["corrupt"] == len(NAMES)
    assert len(list((tmp_path / "m").iterdir())) == len(NAMES)
    assert all(re.match(r"segfast: (INFO|WARNING) ", line) for line in errors.splitlines()), errors
    assert errors.count("INFO state: running\n") <= 1
    assert errors.replace("\n", "").isprintable()
    assert {line["name"] for line in lines} >= {"caf\\xe9", "a\\nsegfast: INFO state: running"}


def pictures_on_standard_input(folder):
    paths = [path for path in folder.iterdir() if ".bad" not in path.name and "\n" not in path.name]
    return b"\n".join(map(os.fsencode, paths)), len(paths)


def test_the_device_side_prints_any_name_on_one_line(folder, tmp_path):
    artifact = proven_artifact(tmp_path / "a")
    listed, count = pictures_on_standard_input(folder)
    for path in list(folder.iterdir()):
        if ".bad" in path.name:
            path.unlink()
    for source, number in ((str(folder), len(NAMES)), ("-", count)):
        words = ["null", "run", artifact, source, "--out", tmp_path / f"out{number}", "--write", "mask"]
        command = [sys.executable, "-m", "targets", *map(str, words)]
        done = subprocess.run(command, cwd=ROOT, input=listed, capture_output=True)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.decode().splitlines()
        assert len(lines) == number
        assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("verb", ["run", "stream"])
def test_a_refusal_repeats_any_name_on_one_line(tmp_path, verb):
    words = [str(proven_artifact(tmp_path / "a")), os.fsencode(tmp_path) + UNPRINTABLE]
    words += ["--out", str(tmp_path / "z")] if verb == "run" else []
    done = subprocess.run([sys.executable, "-m", "targets", "null", verb, *words], cwd=ROOT, capture_output=True)
    assert (done.returncode, len(done.stderr.decode().splitlines())) == (2, 1)
    assert done.stderr.decode().rstrip("\n").isprintable()
    assert rb"\xe9" in done.stderr


@tries(200)
@given(st.text(st.characters(exclude_categories=()), max_size=20) | st.binary(max_size=20).map(os.fsdecode))
def test_what_is_printable_is_one_line_of_utf8_and_plain_text_stays_as_it_is(text):
    said = printable(text)
    assert said.isprintable()
    said.encode()
    assert printable(said) == said


class Clock:
    def __init__(self, monkeypatch):
        self.now_s = 1000.0
        monkeypatch.setattr(journal.time, "monotonic", lambda: self.now_s)


@pytest.fixture
def log(monkeypatch):
    """Give a logger with the runner's filter and formatter, the lines that it wrote, the filter, and its clock."""
    logger, lines, repeats = logging.Logger("test"), [], Repeats()
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(OneLine().format(record))
    handler.addFilter(repeats)
    logger.addHandler(handler)
    return logger, lines, repeats, Clock(monkeypatch)


def test_what_repeats_is_said_at_once_then_counted_ever_more_rarely(log):
    logger, lines, repeats, clock = log
    for number in range(990):  # ten a second
        logger.warning("frame %d is corrupt: %d bytes", number, number % 7)
        clock.now_s += 0.1
    assert lines[0] == "segfast: WARNING frame 0 is corrupt: 0 bytes"
    assert len(lines) == 4  # at 0, 10, 30 and 70 seconds
    logger.info("state: running")
    assert lines[-1] == "segfast: INFO state: running"
    assert repeats.held(at_end=False) == []
    lines += [OneLine().format(record) for record in repeats.held(at_end=True)]
    counted = [int(found) for found in re.findall(r"and (\d+) more like it", "\n".join(lines))]
    assert len([line for line in lines if "corrupt" in line]) + sum(counted) == 990
    assert repeats.held(at_end=True) == []


def test_a_line_that_was_held_back_comes_when_its_time_has_come(log):
    logger, lines, repeats, clock = log
    for state in ("running", "no_frames", "running"):
        logger.info("state: %s", state)
    assert len(lines) == 2
    clock.now_s += 11
    assert [OneLine().format(record) for record in repeats.held(at_end=False)] == ["segfast: INFO state: running"]


def test_a_flood_of_different_lines_fills_no_memory(log):
    logger, lines, repeats, _ = log
    for number in range(5000):
        logger.warning("a name %s", "x" * number)
    assert len(repeats._kinds) <= 200
    assert len(lines) == 5000


def test_a_traceback_cannot_be_taken_for_lines_of_the_log(log):
    logger, lines, _, _ = log
    try:
        raise RuntimeError("engine\nsegfast: INFO state: running\x1b[2J")
    except RuntimeError as error:
        logger.warning("engine failed", exc_info=error)
    assert len(lines[0].splitlines()) > 2
    assert all(line.startswith("segfast: | ") for line in lines[0].splitlines()[1:])
    assert "\x1b" not in lines[0]


def test_a_camera_of_which_every_frame_is_damaged_is_one_line_and_a_count(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:03d}.jpg").write_bytes(jpeg(tiny.frame(90, 120, number), 95)[: 900 + number])
    with running(proven_artifact(tmp_path / "a"), folder, "--rate", "50", "--repeat", "jsonl:-") as child:
        while json.loads(child.stdout.readline())["state"] != "no_result":
            pass
        child.send_signal(signal.SIGTERM)
        errors = ended(child)[2]
    damaged = [line for line in errors.splitlines() if "is corrupt" in line]
    assert 1 < len(damaged) <= 4, errors
    assert re.search(r"and \d+ more like it", damaged[-1])
