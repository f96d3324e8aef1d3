"""Fails a test that leaves a process behind, however it was started: a child, or a daemon of a session of its own."""

import contextlib
import gc
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

MARK = "SEGFAST_TESTS"  # in the environment of whatever a test starts; a daemon has it, too
os.environ[MARK] = f"{os.getpid()}-{time.monotonic_ns()}"
PATIENCE_S = 20.0  # a process that was told to end may take a moment on a busy machine
_OF_PYTHON = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")  # they live as long as their parent


def ours() -> dict[int, str]:
    """Return the running processes that come from this one, and their command lines."""
    mark = f"{MARK}={os.environ[MARK]}".encode()
    facts = dict(filter(None, (_facts(int(each.name)) for each in Path("/proc").iterdir() if each.name.isdigit())))
    found = {}
    for pid, (_, environment, command) in facts.items():
        if pid != os.getpid() and (mark in environment or _descends(pid, facts)):
            found[pid] = command
    return {pid: line for pid, line in found.items() if not any(each in line for each in _OF_PYTHON)}


def _facts(pid: int) -> tuple[int, tuple[int, list[bytes], str]] | None:
    """Return a process's parent, environment and command line; None if it is gone, ended, or not ours to see."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return None
    return None if state == "Z" else (pid, (int(parent), environment, command))


def _descends(pid: int, facts: dict[int, tuple[int, list[bytes], str]]) -> bool:
    while pid in facts:
        pid = facts[pid][0]
        if pid == os.getpid():
            return True
    return False


@pytest.fixture(autouse=True)
def no_process_is_left(request) -> Iterator[None]:
    """Look after the test and its fixtures; what was there before belongs to fixtures of a module or the session."""
    if "start_board" in request.fixturenames:  # boards run until the session ends
        yield
        return
    before = ours()
    yield
    gc.collect()  # a data loader ends its processes when it is collected
    until = time.monotonic() + PATIENCE_S
    while left := {pid: line for pid, line in ours().items() if pid not in before}:
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not left, "the test left processes behind: " + "; ".join(f"{pid} {line}" for pid, line in left.items())
