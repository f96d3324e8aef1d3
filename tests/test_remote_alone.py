"""What goes on at a device when whoever started it is gone, over an ssh that runs the commands on this computer."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segfast_edge.remote.job import Command, job
from segfast_edge.remote.ssh import Ssh

FOLLOW = """
import sys
from segfast_edge.remote.job import Command, job
from segfast_edge.remote.ssh import Ssh
command = Command(["sh", "-c", "echo begun; sleep 600"], 600, alone_s=float(sys.argv[2]))
with job(Ssh("car"), sys.argv[1], command) as running:
    for line in running.lines():
        print(line, flush=True)
"""


@pytest.fixture
def car(tmp_path, monkeypatch):
    """Make ssh run commands here, in sessions of their own as sshd does; give the folder of the job."""
    fake = tmp_path / "ssh"
    fake.write_text('#!/bin/sh\nfor last; do :; done\nexec setsid -w sh -c "$last"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("SEGFAST_SSH", str(fake))
    (tmp_path / "job").mkdir()
    return tmp_path / "job"


def alive(pid):
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)


def test_a_job_whose_client_was_killed_ends_by_itself_and_not_at_its_limit(car):
    with subprocess.Popen([sys.executable, "-c", FOLLOW, car, "1.2"], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout.readline() == "begun\n"
        pid = int((car / "pid").read_text())
        client.send_signal(signal.SIGKILL)
    wait_until(lambda: not alive(pid))
    wait_until((car / "status").exists)
    assert (car / "status").read_text().strip() in ("124", "143")


def test_a_job_that_is_followed_goes_on_however_long_it_says_nothing(car):
    command = Command(["sh", "-c", "sleep 4; echo done"], 600, alone_s=1.2)
    with job(Ssh("car"), str(car), command) as running:
        assert list(running.lines()) == ["done"]
        assert running.ended().status == 0
    assert len((car / "beats").read_bytes()) > 5


def test_a_job_without_such_a_limit_is_left_alone(car):
    with job(Ssh("car"), str(car), Command(["sh", "-c", "sleep 1; echo done"], 600)) as running:
        assert list(running.lines()) == ["done"]
        assert running.ended().status == 0
    assert (car / "beats").read_bytes() == b""
