"""Virtual boards: what a program on them sees, that they end, and what their packages do there."""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TOOL

EMULATED = ("rpi4", "rpi5", "rock5", "jetson-nano")


def tool(*words, **settings) -> subprocess.CompletedProcess:
    command = [sys.executable, str(TOOL), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, **settings)


def test_the_help_names_every_verb_and_board():
    done = tool("--help")
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in ("build", "start", "enter", "list", "stop"))
    assert all(board in tool("start", "--help").stdout for board in (*EMULATED, "pc"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["start", "--board", "rpi9"], "invalid choice: 'rpi9'"),
        (["start", "--disk-mb", "0"], "give at least 1 MB"),
    ],
)
def test_a_wish_that_cannot_be_is_one_line_and_exit_2(words, message):
    done = tool(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_machine_without_debians_tools_says_so_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGFAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    done = tool("build")
    assert done.returncode == 2
    assert done.stderr == (
        "virtual_board: virtual boards are made of Debian packages, on Debian. Run: apt-get install mmdebstrap\n"
    )
    assert [path.name for path in (tmp_path / "cache" / "virtual-board").iterdir()] == ["lock"]


def test_a_machine_that_reaches_no_archive_says_so_in_one_line_and_keeps_nothing(tmp_path, monkeypatch):
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho 'Could not resolve the archive' >&2; exit 100\n")
    (tmp_path / "apt-get").chmod(0o755)
    (tmp_path / "mmdebstrap").symlink_to("/bin/true")
    monkeypatch.setenv("SEGFAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    done = tool("build")
    assert done.returncode == 2
    assert done.stderr == "virtual_board: cannot get apt's configuration: Could not resolve the archive\n"
    assert [path.name for path in (tmp_path / "cache" / "virtual-board").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("board", "model", "part"),
    [
        ("rpi4", "Raspberry Pi 4 Model B Rev 1.4", "0xd08"),
        ("rpi5", "Raspberry Pi 5 Model B Rev 1.0", "0xd0b"),
        ("rock5", "Radxa ROCK 5B", "0xd0b"),
        ("jetson-nano", "NVIDIA Jetson Nano Developer Kit", "0xd07"),
    ],
)
def test_a_board_shows_its_programs_what_the_real_one_would(board, model, part, start_board):
    there = start_board(board)
    said = there.shell(
        "uname -m; hostname; id -un; tr -d '\\0' </sys/firmware/devicetree/base/model; echo; "
        "grep -m 1 part /proc/cpuinfo; cat /sys/class/thermal/thermal_zone0/type; "
        "grep emulated /etc/segfast-virtual-board"
    ).splitlines()
    assert said[:4] == ["aarch64", board, "pi", model]
    assert said[4].endswith(part)
    assert said[5:] == ["cpu-thermal", "emulated=1"]
    # only a processor with them runs the dot product instructions; a program that asks gets the same answer
    features = there.shell("grep -m 1 Features /proc/cpuinfo").split()
    assert ("asimddp" in features) == (board in ("rpi5", "rock5"))


@pytest.mark.parametrize("board", EMULATED)
@pytest.mark.parametrize(
    ("site", "modules"),
    [
        ("current", ["numpy", "PIL.Image", "ai_edge_litert.interpreter", "onnxruntime"]),
        ("tflite-runtime", ["numpy", "PIL.Image", "tflite_runtime.interpreter"]),
    ],
)
def test_every_package_of_a_site_imports_on_the_board(board, site, modules, start_board):
    there = start_board(board, "--site", site)
    imports = "; ".join(f"import {module}" for module in modules)
    script = f"{imports}; import numpy; print(numpy.arange(4) @ numpy.arange(4))"
    assert there.shell(f"ORT_DISABLE_TELEMETRY=1 python3 -c '{script}'") == "14\n"


def test_a_started_board_answers_and_stop_ends_all_of_it(start_board):
    start_board("pc", "--site", "bare")  # so that everything is in the cache
    name = f"brief-{time.monotonic_ns()}"
    board = json.loads(tool("start", "--board", "pc", "--site", "bare", "--name", name).stdout)
    try:
        assert name in tool("list").stdout
        assert f"board '{name}' is running" in tool("start", "--board", "pc", "--name", name).stderr
        ssh = ["ssh", "-F", board["ssh_config"], name]
        started = subprocess.run([*ssh, "setsid sleep 76 >/dev/null 2>&1 & echo on"], capture_output=True)
        assert started.stdout == b"on\n"
        assert running(b"sleep\x0076")
    finally:
        assert tool("stop", "--name", name).stdout == f"stopped: {name}\n"
    assert not Path(board["ssh_config"]).parent.exists()
    assert not running(b"sleep\x0076")
    assert not running(name.encode())


def running(words: bytes) -> bool:
    """Say whether a process of this machine has ``words`` in its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            if words in path.read_bytes():
                return True
    return False


def test_a_board_ends_by_itself_when_its_life_is_over(start_board):
    start_board("pc", "--site", "bare")
    name = f"mortal-{time.monotonic_ns()}"
    board = json.loads(tool("start", "--board", "pc", "--site", "bare", "--name", name, "--life", "1").stdout)
    deadline = time.monotonic() + 10
    while name in tool("list").stdout:
        assert time.monotonic() < deadline
    assert subprocess.run(["ssh", "-F", board["ssh_config"], name, "true"], capture_output=True).returncode == 255
    tool("stop", "--name", name)


def test_the_shared_system_cannot_be_changed_from_a_board(start_board):
    there = start_board("pc", "--site", "bare")
    assert there.shell("touch /usr/bin/mine 2>&1; echo $?", check=False).splitlines()[-1] == "1"
    assert there.shell("touch /tmp/mine ~/mine && rm /tmp/mine && echo kept").strip() == "kept"


def test_scp_and_sftp_reach_the_board(start_board, tmp_path):
    there = start_board("rpi4")
    (tmp_path / "note").write_text("from here")
    config = ["-F", str(there.ssh_config)]
    subprocess.run(["scp", "-q", *config, str(tmp_path / "note"), f"{there.host}:note"], check=True, timeout=60)
    subprocess.run(["scp", "-q", *config, f"{there.host}:note", str(tmp_path / "back")], check=True, timeout=60)
    assert (tmp_path / "back").read_text() == "from here"


PRODUCT = """
import os
import numpy
def mark(number):
    try:
        os.close(0x5E6F0000 + number)
    except OSError:
        pass
ones = numpy.ones((64, 64), numpy.float32)
ones @ ones
mark(0); ones @ ones; mark(1)
"""


def test_a_matrix_product_counts_the_multiplications_that_it_has(start_board, tmp_path):
    start_board("rpi4")
    done = tool("enter", "--board", "rpi4", "--count", tmp_path / "counts", "--", "python3", "-c", PRODUCT)
    assert done.returncode == 0, done.stderr
    before, after, _ = map(json.loads, (tmp_path / "counts").read_text().splitlines())
    assert after["mla_f32"] - before["mla_f32"] == 64**3 / 4  # four in a vector
    assert after["dot_int8"] == before["dot_int8"]


def test_a_command_inside_gives_its_exit_status_and_nothing_counts_where_nothing_can(start_board, tmp_path):
    start_board("pc", "--site", "bare")
    enter = ("enter", "--board", "pc", "--site", "bare")
    assert tool(*enter, "--", "sh", "-c", "exit 3").returncode == 3
    done = tool(*enter, "--count", tmp_path / "counts", "--", "true")
    assert done.returncode == 2
    assert "only emulated boards count" in done.stderr
