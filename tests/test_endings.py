"""How a child ended, in words, wherever one is started: tested with real children that real signals end."""

import os
import signal
import subprocess
import sys

import pytest
import tiny_artifacts as tiny
import tiny_bundle
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundle import install, public, variant, write

from segfast_edge.contract.shared.endings import failure, how_ended, signal_of
from segfast_edge.deployment.installer_file import run_here
from segfast_edge.device.spawn import outputs
from segfast_edge.errors import TargetError
from segfast_edge.remote.job import Ended
from segfast_edge.remote.ssh import Ssh

MEANINGS = {
    signal.SIGILL: "SIGILL: this CPU lacks an instruction that numpy or the engine needs",
    signal.SIGKILL: "SIGKILL: most likely the system ran out of memory",
    signal.SIGSEGV: "SIGSEGV: a library crashed",
}
ENDS_ITSELF = "import os, sys; print('almost there', file=sys.stderr, flush=True); os.kill(os.getpid(), {0:d})"


@pytest.fixture(params=MEANINGS, ids=lambda number: number.name)
def ending(request):
    """Give a signal and what is said of it."""
    return request.param, MEANINGS[request.param]


def test_a_child_and_a_childs_child_of_a_shell_are_named_by_their_signal(ending):
    number, meaning = ending
    code = ENDS_ITSELF.format(number)
    direct = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    shell = subprocess.run(["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, code], capture_output=True, text=True)
    assert (direct.returncode, shell.returncode) == (-number, 128 + number)
    for done in (direct, shell):
        said = failure("the device process", done.returncode, done.stderr.splitlines()[0])
        assert said.startswith(f"the device process was ended by {meaning}")
        assert said.endswith(". Its last line: almost there")


def test_a_device_process_that_a_signal_ends_is_reported_with_the_signal(ending, tmp_path, monkeypatch):
    number, meaning = ending
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, sys\nif 'targets' in sys.orig_argv:\n    os.kill(os.getpid(), {number:d})\n"
    )
    monkeypatch.setattr("segfast_edge.device.spawn.os.environ", {**os.environ})
    monkeypatch.setattr(sys, "executable", _wrapper(tmp_path, sys.executable))
    with pytest.raises(TargetError, match=meaning):
        list(outputs(tiny.write_null_artifact(tmp_path / "a"), [("x", tiny.frame())], target="null"))


def _wrapper(folder, python):
    """Return an interpreter that has ``folder`` on its path, whatever PYTHONPATH its caller sets."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}:$PYTHONPATH" exec {python} "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_a_self_test_that_a_signal_ends_is_no_release_and_says_which(ending, tmp_path):
    number, meaning = ending
    made = variant(tmp_path / "v", lambda folder: _ends_itself(folder, number, "if '--self-test' in sys.argv:"))
    done = install(write(made, tmp_path / "b.tar.gz"), tmp_path / "car", "--trust", public(), check=False)
    assert done.returncode == 2
    assert f"is not activated: its self-test was ended by {meaning}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_runner_that_a_signal_ends_is_taken_back_with_the_signal_in_the_reason(ending, tmp_path):
    number, meaning = ending
    made = variant(tmp_path / "v", lambda folder: _ends_itself(folder, number, "if '--self-test' not in sys.argv:"))
    words = ("--input", "test:64x48", "--service", "process", "--health-s", "60", "--well-s", "0.5")
    done = install(write(made, tmp_path / "b.tar.gz"), tmp_path / "car", "--trust", public(), *words, check=False)
    assert done.returncode == 2
    assert f"the runner was ended by {meaning}" in done.stderr


def _ends_itself(folder, number, when):
    tiny_bundle._edit(
        folder / "run.py",
        "    return main(",
        f"    {when}\n        __import__('os').kill(__import__('os').getpid(), {number:d})\n    return main(",
    )


def test_an_installer_that_a_signal_ends_is_reported_with_the_signal(ending, tmp_path):
    number, meaning = ending
    (tmp_path / "installer.py").write_text(ENDS_ITSELF.format(number))
    with pytest.raises(TargetError, match=f"the installer was ended by {meaning}"):
        run_here(tmp_path / "installer.py", [])


def test_a_command_over_ssh_that_a_signal_ends_is_reported_with_the_signal(ending, tmp_path, monkeypatch):
    number, meaning = ending
    fake = tmp_path / "ssh"  # runs the command here; sshd, too, runs it by the login shell and passes its status on
    fake.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("SEGFAST_SSH", str(fake))
    with pytest.raises(TargetError, match=f"car: the command was ended by {meaning}"):
        Ssh("car").output(f'sh -c "kill -{number:d} \\$\\$"; exit $?')


def test_a_job_that_a_signal_ends_is_reported_with_the_signal(ending):
    number, meaning = ending
    script = f'timeout -k 5 60 {sys.executable} -c "{ENDS_ITSELF.format(number)}"; echo $? >&1'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    said = Ended(int(done.stdout), done.stderr).failure("the installer", 60.0)
    assert said.startswith(f"the installer was ended by {meaning}")


@given(st.integers(-70, 255))
def test_every_status_has_words_and_a_signal_its_name(status):
    number = -status if status < 0 else status - 128
    named = number > 0 and number in {each.value for each in signal.Signals}
    assert (signal_of(status) is not None) is named
    assert how_ended(status).startswith(
        "was ended by SIG" if named else ("ended with status" if status >= 0 else "was ended by signal")
    )
