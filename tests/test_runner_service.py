"""The runner as the process that it is in a car: started, signalled, watched."""

import ast
import contextlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import tiny_artifacts as tiny
from PIL import Image
from tiny_runner import ROOT, null_labels, pictures, proven_artifact, wait_for

from segfast_edge.contract.masks import mask_at


@contextlib.contextmanager
def running(*words, env=None, **options):
    """Start ``python -m targets null stream WORDS`` and end it if the test has not."""
    command = [sys.executable, "-m", "targets", "null", "stream", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(env or {})}, **pipes)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def ended(child, seconds=20):
    """Wait for the end; return exit status, standard output and standard error."""
    out, errors = child.communicate(timeout=seconds)
    return child.returncode, out, errors.decode()


def lines_until(child, condition, limit=2000):
    """Read lines of JSON from the child until one satisfies ``condition``."""
    for _ in range(limit):
        line = json.loads(child.stdout.readline())
        if condition(line):
            return line
    raise AssertionError("it never came")


def test_sigterm_drains_and_exits_with_everything_accounted_for(tmp_path):
    artifact = proven_artifact(tmp_path / "a")
    with running(artifact, "test:64x48", "--rate", "100", "jsonl:-") as child:
        lines_until(child, lambda line: line["frame"] is not None)
        child.send_signal(signal.SIGTERM)
        status, _, errors = ended(child)
    assert status == 0
    tally = ast.literal_eval(re.search(r"frames: (\{.*\})", errors).group(1))
    assert tally["in_flight"] == 0
    assert tally["in"] == tally["out"] + tally["corrupt"] + sum(tally["dropped"].values())


def test_sighup_opens_the_model_again_and_the_stream_goes_on(tmp_path):
    artifact, status_file = proven_artifact(tmp_path / "a"), tmp_path / "status.json"
    words = (artifact, "test:64x48", "--rate", "50", "jsonl:-", "--status-file", status_file)
    with running(*words) as child:
        lines_until(child, lambda line: line["frame"] is not None)
        child.send_signal(signal.SIGHUP)

        def reloaded():
            lines_until(child, lambda line: line["frame"] is not None)
            return status_file.exists() and json.loads(status_file.read_text())["reloads"]["loads"] == 1

        wait_for(reloaded)
        child.send_signal(signal.SIGTERM)
        assert ended(child)[0] == 0
    last = json.loads(status_file.read_text())
    assert last["state"] == "stopping"
    assert last["frames"]["in_flight"] == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.tflite").write_bytes(b"other"), "sha256 differs"),
        (lambda folder: (folder / "model.tflite").unlink(), "lacks model.tflite"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is not readable"),
    ],
)
def test_a_damaged_model_is_not_started_and_says_so_in_one_line(tmp_path, damage, message):
    artifact = proven_artifact(tmp_path / "a")
    damage(artifact)
    with running(artifact, "test:64x48", "jsonl:-") as child:
        status, out, errors = ended(child)
    assert (status, out) == (2, b"")
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_a_model_that_answers_wrongly_is_not_started(tmp_path):
    with running(proven_artifact(tmp_path / "a", wrong=True), "test:64x48") as child:
        status, _, errors = ended(child)
    assert status == 2
    assert "fails its self-test" in errors


def test_when_the_last_reader_of_its_output_goes_it_ends_well(tmp_path):
    with running(proven_artifact(tmp_path / "a"), "test:64x48", "--rate", "100", "jsonl:-") as child:
        lines_until(child, lambda line: line["frame"] is not None)
        child.stdout.close()
        assert child.wait(240) == 0
        assert "nobody takes results any more" in child.stderr.read().decode()


def test_raw_frames_in_and_masks_out_through_pipes(tmp_path):
    frame = tiny.frame(40, 60)
    words = (proven_artifact(tmp_path / "a"), "-", "--raw", "60x40", "pipe:-", "--every-frame")
    with running(*words, stdin=subprocess.PIPE) as child:
        child.stdin.write(frame.tobytes() * 2)
        child.stdin.close()
        child.stdin = None
        status, out, _ = ended(child)
    assert status == 0
    mask = np.asarray(Image.open(io.BytesIO(out[: len(out) // 2])))
    resized = np.asarray(Image.fromarray(frame).resize((tiny.WIDTH, tiny.HEIGHT), Image.Resampling.BILINEAR))
    assert np.array_equal(mask, mask_at(null_labels(resized), (40, 60)))


_PEAK = """
import atexit, pathlib, runpy, sys
atexit.register(lambda: print(pathlib.Path("/proc/self/status").read_text(), file=sys.stderr))
runpy.run_module("targets", run_name="__main__")
"""


def test_a_small_file_of_many_pixels_takes_no_memory_unless_it_is_allowed(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (7000, 5800), (90, 120, 30)).save(folder / "bomb.png")
    Image.fromarray(tiny.frame(120, 160)).save(folder / "sound.png")
    assert (folder / "bomb.png").stat().st_size < 150_000
    said, peaks = {}, {}
    for most in ("9000000", "41000000"):
        words = [
            "null",
            "stream",
            proven_artifact(tmp_path / most),
            folder,
            f"overlays:{tmp_path}/o",
            "--max-pixels",
            most,
        ]
        command = [sys.executable, "-c", _PEAK, *map(str, words), "--deadline-ms", "60000"]
        said[most] = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stderr
        peaks[most] = int(re.search(r"VmHWM:\s+(\d+) kB", said[most])[1])
    assert "bomb.png is 7000x5800; at most 9000000 pixels are decoded. See --max-pixels" in said["9000000"]
    assert "'out': 1, 'corrupt': 1" in said["9000000"]
    assert "'corrupt': 0" in said["41000000"]
    assert peaks["9000000"] < 100_000 < peaks["41000000"]


def test_input_of_which_nothing_can_be_used_is_an_error(tmp_path):
    folder = pictures(tmp_path / "in", 2)
    for path in folder.iterdir():
        path.write_bytes(b"no picture")
    with running(proven_artifact(tmp_path / "a"), folder) as child:
        status, _, errors = ended(child)
    assert status == 2
    assert "no frame could be used" in errors.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["jsonl:-", "pipe:-"], "jsonl:- and pipe:- would both write to standard output"),
        (["--status-file", "/proc/none/status.json"], "cannot write /proc/none/status.json"),
    ],
)
def test_what_could_not_work_is_refused_before_anything_starts(tmp_path, words, message):
    with running(proven_artifact(tmp_path / "a"), "test:64x48", *words) as child:
        status, out, errors = ended(child)
    assert (status, out, len(errors.splitlines())) == (2, b"", 1)
    assert message in errors


def test_a_fallback_whose_labels_mean_something_else_is_refused(tmp_path):
    artifact, other = proven_artifact(tmp_path / "a"), proven_artifact(tmp_path / "b")
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["classes"]["names"].reverse()
    (other / "manifest.json").write_text(json.dumps(manifest))
    with running(artifact, "test:64x48", "--fallback", other) as child:
        status, _, errors = ended(child)
    assert (status, "has other classes than" in errors) == (2, True)


@pytest.mark.parametrize(("closed", "name"), [("<&-", "standard input, which"), (">&-", "standard output")])
def test_a_closed_standard_stream_is_one_clear_line(tmp_path, closed, name):
    words = [sys.executable, "-m", "targets", "null", "stream", proven_artifact(tmp_path / "a"), "-", "--raw", "8x8"]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *map(str, words)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 2
    assert f"{name} is closed" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_options_may_stand_between_input_and_outputs(tmp_path):
    words = (proven_artifact(tmp_path / "a"), pictures(tmp_path / "in", 2), "--quiet", "jsonl:-", f"masks:{tmp_path}/m")
    with running(*words) as child:
        status, out, errors = ended(child)
    assert (status, errors, len(out.splitlines())) == (0, "", 2)
    assert len(list((tmp_path / "m").iterdir())) == 2


@pytest.fixture
def systemd(tmp_path):
    """Give a socket such as systemd listens on, and what has been said on it so far."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(0.05)
        heard = []

        def hear():
            with contextlib.suppress(TimeoutError):
                while True:
                    heard.append(listener.recv(4096).decode())
            return heard

        yield str(tmp_path / "notify"), hear


def test_systemd_hears_ready_the_watchdog_reloading_and_stopping(tmp_path, systemd):
    address, hear = systemd
    env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "600000"}
    with running(proven_artifact(tmp_path / "a"), "test:64x48", env=env) as child:
        wait_for(lambda: "READY=1" in hear())
        wait_for(lambda: hear().count("WATCHDOG=1") >= 3)
        wait_for(lambda: "STATUS=running" in hear())
        child.send_signal(signal.SIGHUP)
        reloading = wait_for(lambda: [said for said in hear() if said.startswith("RELOADING=1")])
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", reloading[0])
        child.send_signal(signal.SIGTERM)
        assert ended(child)[0] == 0
        assert hear()[-1] == "STOPPING=1"


def test_the_runner_has_no_clock_that_a_change_of_the_date_could_move():
    forbidden = {"time", "time_ns", "now", "utcnow", "today", "localtime", "gmtime"}
    for path in (ROOT / "targets/runner").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in forbidden:
                raise AssertionError(f"{path}:{node.lineno} reads the wall clock")


_LISTING_WHAT_WAS_IMPORTED = """
import atexit, runpy, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
runpy.run_module("targets", run_name="__main__")
"""


def test_a_runner_does_not_load_what_only_measuring_or_the_page_needs(tmp_path):
    words = ["null", "stream", proven_artifact(tmp_path / "a"), pictures(tmp_path / "in", 2), "jsonl:-"]
    done = subprocess.run(
        [sys.executable, "-c", _LISTING_WHAT_WAS_IMPORTED, *map(str, words)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "targets.runner.pipeline" in loaded
    # megabytes each: docs/performance.md
    heavy = {"_hashlib", "importlib.metadata", "http.client", "targets.common.profiler", "targets.common.emulated"}
    assert not heavy & loaded


@pytest.mark.parametrize("kind", ["tflite", "openvino"])
def test_a_model_file_cut_short_under_a_running_engine_does_not_end_the_process(tmp_path, kind):
    pytest.importorskip({"tflite": "ai_edge_litert", "openvino": "openvino"}[kind], reason="the engine is an extra")
    artifact = tiny.write_artifact(tmp_path / "a", kind)
    command = [sys.executable, "-m", "targets", "x86", "stream", artifact, "test:64x48", "jsonl:-", "--rate", "50"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        first = lines_until(child, lambda line: line["frame"] is not None)["frame"]
        for path in artifact.glob("model.*"):
            path.write_bytes(b"")
        lines_until(child, lambda line: (line["frame"] or 0) > first + 20)
        child.send_signal(signal.SIGTERM)
        child.stdout.read()
    assert child.returncode == 0


def test_a_folder_read_to_its_end_is_an_end_and_a_signal_is_not(tmp_path):
    status_file = tmp_path / "status.json"
    words = (proven_artifact(tmp_path / "a"), pictures(tmp_path / "in", 3), "--status-file", status_file, "jsonl:-")
    with running(*words) as child:
        assert ended(child)[0] == 0
    last = json.loads(status_file.read_text())
    assert (last["state"], last["reason"], last["frames"]["out"]) == ("ended", "the input has ended", 3)
    with running(*words, "--rate", "10", "--repeat") as child:
        lines_until(child, lambda line: line["frame"] is not None)
        child.send_signal(signal.SIGTERM)
        assert ended(child)[0] == 0
    assert json.loads(status_file.read_text())["state"] == "stopping"
