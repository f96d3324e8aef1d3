"""Profiles over ssh: real figures from a real processor, counts and nothing else from an emulated one."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
import tiny_artifacts as tiny

from segfast_edge.cli import main
from segfast_edge.contract.instruction_report import CountReport
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.report import Report
from segfast_edge.device.code import device_code
from segfast_edge.device.spawn import outputs
from segfast_edge.errors import TargetError, UnreachableError
from segfast_edge.profiling.over_ssh import RemoteProfile, profile_remote

SHORT = ProfileOptions(threads=1, num_runs=40, min_secs=0.1, max_secs=5)
LEFT = "ls -d /tmp/segfast-edge.* 2>/dev/null; pgrep -x 'tail|timeout'"


@pytest.fixture(scope="module")
def tflite(tmp_path_factory):
    return tiny.write_artifact(tmp_path_factory.mktemp("artifacts") / "tiny-tflite", "tflite")


@pytest.fixture(scope="module")
def int8(tmp_path_factory):
    import tiny_int8

    return tiny_int8.write_artifact(tmp_path_factory.mktemp("int8"))


def keys(value) -> set[str]:
    """Return every key in a JSON value, at any depth."""
    if isinstance(value, dict):
        return set(value) | {key for each in value.values() for key in keys(each)}
    return {key for each in value for key in keys(each)} if isinstance(value, list) else set()


def test_a_board_without_a_runtime_is_told_so_and_with_install_it_measures(pc, tflite, capsys):
    said = []
    with pytest.raises(TargetError, match=r"numpy and PIL missing.* Or let --install bring it"):
        profile_remote(tflite, pc.host, RemoteProfile("x86", SHORT, even_if_busy=True))
    request = RemoteProfile("x86", SHORT, install=True, even_if_busy=True, announce=said.append)
    report = profile_remote(tflite, pc.host, request)
    assert isinstance(report, Report)
    assert len(report.latency.samples_ms) >= 40
    assert report.machine["system"].startswith("Debian GNU/Linux 12")
    assert report.versions["ai-edge-litert"]
    assert said[-1].startswith("measuring on")
    assert pc.shell(LEFT, check=False) == ""
    first = pc.shell("ls -di ~/.cache/segfast-edge/site-*")
    profile_remote(tflite, pc.host, request)
    assert pc.shell("ls -di ~/.cache/segfast-edge/site-*") == first  # kept, and not sent again


def test_a_target_that_the_host_is_not_is_refused_there(pc, tflite):
    request = RemoteProfile("rpi", SHORT, install=True, even_if_busy=True)
    with pytest.raises(TargetError, match=r"this machine \(x86_64\) is no Raspberry Pi.*; it is --target x86$"):
        profile_remote(tflite, pc.host, request)  # and nothing about measuring over ssh, which this is
    assert pc.shell(LEFT, check=False) == ""


def test_the_command_line_writes_the_report_of_a_host(pc, tflite, tmp_path, capsys):
    words = ["--host", pc.host, "--install", "--even-if-busy", "--num-runs", "30", "--min-secs", "0"]
    assert main(["profile", str(tflite), *words, "--output", str(tmp_path / "r.json")]) == 0
    value = json.loads((tmp_path / "r.json").read_text())
    assert value["machine"]["device"] == pc.host
    assert value["latency"]["p50_ms"] > 0
    assert f"tiny-tflite on {pc.host}" in " ".join(capsys.readouterr().out.split())


def test_a_killed_profile_leaves_nothing_on_the_host(pc, tflite):
    command = [sys.executable, "-m", "segfast_edge", "profile", str(tflite), "--host", pc.host, "--install"]
    child = subprocess.Popen([*command, "--even-if-busy", "--min-secs", "50"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not pc.shell("cat /tmp/segfast-edge.*/samples 2>/dev/null", check=False):
        assert time.monotonic() < deadline
        assert child.poll() is None, child.stderr.read()
    child.send_signal(signal.SIGTERM)
    assert child.wait(240) == 130
    child.stderr.close()
    assert pc.shell(f"{LEFT}; pgrep -f targets", check=False) == ""


def test_samples_outlive_a_connection_that_is_lost_for_good(start_board, tflite, tmp_path, monkeypatch):
    board = start_board("pc", "--site", "bare", "--disk-mb", "600")
    monkeypatch.setenv("SEGFAST_SSH", board.ssh_command)

    def lose(step: str) -> None:
        if step.endswith("inferences"):
            board.shell("kill -9 $(pgrep -f '[n]ative/sshd')", check=False)

    plan = ProfileOptions(threads=1, min_secs=60)
    request = RemoteProfile("x86", plan, True, True, lose, tmp_path / "kept.json", reconnect_s=1)
    with pytest.raises(UnreachableError, match=r"samples until then are in .*kept\.json, marked partial"):
        profile_remote(tflite, board.host, request)
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert kept["partial"] is True
    assert kept["valid"] is False
    assert len(kept["samples_ms"]) > 1
    assert all(sample > 0 for sample in kept["samples_ms"])


def test_a_fleet_of_emulated_boards_counts_and_times_nothing(start_board, int8, tmp_path, monkeypatch, capsys):
    boards = {name: start_board(name) for name in ("rpi4", "rpi5")}
    (tmp_path / "config").write_text("".join(board.ssh_config.read_text() for board in boards.values()))
    monkeypatch.setenv("SEGFAST_SSH", f"ssh -F {tmp_path / 'config'}")
    entries = [
        f'[[device]]\nname = "{name}"\nhost = "{board.host}"\ntarget = "rpi"\n' for name, board in boards.items()
    ]
    (tmp_path / "devices.toml").write_text("\n".join(entries))
    words = ["profile", str(int8), "--fleet", str(tmp_path / "devices.toml"), "--json"]
    runs = []
    for void in ([], ["--require-valid"]):
        assert main([*words, *void]) == (5 if void else 0)
        four, five = json.loads(capsys.readouterr().out)["reports"]
        runs.append((four["instructions"]["per_inference"], five["instructions"]["per_inference"]))
        for report, name in ((four, "rpi4"), (five, "rpi5")):
            assert report["emulated"] is True
            assert report["executed_precision"] == "int8"
            assert report["machine"]["device"] == name
            measured = {"latency", "memory", "stages", "conditions", "power", "cold_start_ms", "load_ms", "import_ms"}
            assert not keys(report) & measured
    # the processor without dot products multiplies and accumulates instead; the counts do not change from run to run
    four, five = runs[0]
    assert four["dot_int8"] == 0 < five["dot_int8"]
    assert four["mla_int"] > five["mla_int"]
    assert all(runs[1][n]["dot_int8"] == runs[0][n]["dot_int8"] for n in (0, 1))
    assert all(runs[1][n]["mla_int"] == runs[0][n]["mla_int"] for n in (0, 1))
    for n in (0, 1):
        assert runs[1][n]["instructions"] == pytest.approx(runs[0][n]["instructions"], rel=0.001)
    assert all(board.shell(LEFT, check=False) == "" for board in boards.values())


@pytest.mark.parametrize("board", ["rpi4", "rpi5"])
def test_int8_output_of_a_board_is_that_of_this_machine_bit_for_bit(board, start_board, int8, tmp_path):
    import tiny_int8

    there = start_board(board)
    frames = tiny_int8.frames(3)
    here = list(outputs(int8, [(str(n), frame) for n, frame in enumerate(frames)], threads=1))
    np.save(tmp_path / "frames.npy", np.stack(frames))
    model = (int8 / "model.tflite").read_bytes()
    script = (
        "import sys, numpy; from ai_edge_litert.interpreter import Interpreter\n"
        "net = Interpreter('/tmp/model.tflite', num_threads=1); net.allocate_tensors()\n"
        "given, got = net.get_input_details()[0]['index'], net.get_output_details()[0]['index']\n"
        "for frame in numpy.load('/tmp/frames.npy'):\n"
        "    net.set_tensor(given, frame[None]); net.invoke()\n"
        "    sys.stdout.buffer.write(net.get_tensor(got).tobytes())\n"
    )
    for name, content in (("model.tflite", model), ("frames.npy", (tmp_path / "frames.npy").read_bytes())):
        send(there, f"cat >/tmp/{name}", content)
    said = send(there, "python3 -", script.encode())
    assert len(said) == 3 * here[0].nbytes
    assert said == b"".join(each.tobytes() for each in here)


def send(board, command: str, content: bytes) -> bytes:
    ssh = ["ssh", "-F", str(board.ssh_config), board.host, command]
    return subprocess.run(ssh, input=content, capture_output=True, check=True, timeout=120).stdout


def test_onnx_and_the_older_tflite_runtime_run_on_a_board(start_board, tflite, tmp_path, monkeypatch):
    onnx = tiny.write_artifact(tmp_path / "tiny-onnx", "onnx")
    current, older = start_board("rpi4"), start_board("rpi4", "--site", "tflite-runtime")
    for board, artifact, engine in ((current, onnx, "onnxruntime"), (older, tflite, "tflite-runtime")):
        monkeypatch.setenv("SEGFAST_SSH", board.ssh_command)
        report = profile_remote(artifact, board.host, RemoteProfile("rpi", SHORT))
        assert isinstance(report, CountReport)
        assert engine in report.versions
        assert report.per_inference["mla_f32"] > 0


def test_what_only_times_is_refused_on_an_emulated_board(start_board, tflite, tmp_path):
    there = start_board("rpi5")
    with tarfile.open(tmp_path / "load.tar", "w") as load:
        load.add(device_code(tmp_path / "code"), "code")
        load.add(tflite, "artifact")
    send(there, "mkdir -p /tmp/by-hand && tar -C /tmp/by-hand -x", (tmp_path / "load.tar").read_bytes())
    said = there.shell("cd /tmp/by-hand/code && python3 -m targets rpi layers ../artifact 2>&1; rm -r /tmp/by-hand")
    assert "this board is emulated: a time measured here means nothing" in said


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (ProfileOptions(threads=2), "2 threads on an emulated board"),
        (ProfileOptions(layers=True), "--layers on an emulated board, where a time means nothing"),
        (ProfileOptions(scenario="constant-stream"), "--scenario constant-stream on an emulated board"),
    ],
)
def test_what_a_count_cannot_give_is_refused_where_instructions_are_counted(
    plan, says, start_board, tflite, monkeypatch
):
    board = start_board("rpi5")
    monkeypatch.setenv("SEGFAST_SSH", board.ssh_command)
    with pytest.raises(TargetError, match=says):
        profile_remote(tflite, board.host, RemoteProfile("rpi", plan))


def test_a_runtime_is_gathered_for_the_boards_own_processor(start_board, tflite, monkeypatch):
    board = start_board("rpi5", "--site", "bare")
    monkeypatch.setenv("SEGFAST_SSH", board.ssh_command)
    report = profile_remote(tflite, board.host, RemoteProfile("rpi", SHORT, install=True))
    assert isinstance(report, CountReport)
    assert report.machine["architecture"] == "aarch64"
    assert "SEGFAST_COUNTS" not in os.environ
