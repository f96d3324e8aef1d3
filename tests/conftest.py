"""Virtual boards for the tests that need another computer: each started once, on demand, and ended with the session."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from leftovers import no_process_is_left  # noqa: F401 (a fixture of every test)

# a suite started in the background inherits SIGINT as ignored, and so would every process that a test interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)
# on a busy computer, a line of progress would come between an error and the test that expects it alone
os.environ.setdefault("SEGFAST_PROGRESS_S", "3600")

TOOL = Path(__file__).resolve().parent.parent / "tools" / "virtual_board"
LIFE_S = 3600


def pytest_collection_modifyitems(items):
    """Call a test slow that needs a board: the first one of a machine builds it, and emulation takes its time."""
    for item in items:
        if "start_board" in item.fixturenames:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(900))


@dataclass(frozen=True)
class VirtualBoard:
    """A board that ssh reaches as ``host`` with the configuration ``ssh_config``."""

    host: str
    ssh_config: Path

    @property
    def ssh_command(self) -> str:
        """What SEGFAST_SSH has to be."""
        return f"ssh -F {self.ssh_config}"

    def shell(self, script: str, *, check: bool = True) -> str:
        """Run a script there by plain ssh."""
        command = ["ssh", "-F", str(self.ssh_config), self.host, script]
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=120).stdout


def _start(name: str, words: tuple[str, ...]) -> VirtualBoard | str:
    command = [sys.executable, str(TOOL), "start", "--name", name, "--life", str(LIFE_S), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return done.stderr.strip() or f"virtual_board ended with status {done.returncode}"
    board = json.loads(done.stdout)
    return VirtualBoard(board["host"], Path(board["ssh_config"]))


@pytest.fixture(scope="session")
def start_board():
    """Return a function that starts a board, or skips the test with the reason why there is none.

    With SEGFAST_REQUIRE_BOARDS=1 a board that cannot be had fails the test instead.
    """
    started: dict[tuple[str, ...], VirtualBoard | str] = {}
    names: list[str] = []

    def start(board: str, *words: str) -> VirtualBoard:
        key = ("--board", board, *words)
        if key not in started:
            names.append(f"test-{os.getpid()}-{len(names)}-{board}")
            started[key] = _start(names[-1], key)
        found = started[key]
        if isinstance(found, str):
            (pytest.fail if os.environ.get("SEGFAST_REQUIRE_BOARDS") == "1" else pytest.skip)(f"no board: {found}")
        return found

    yield start
    for name in names:
        subprocess.run([sys.executable, str(TOOL), "stop", "--name", name], capture_output=True)


@pytest.fixture
def pc(start_board, monkeypatch) -> VirtualBoard:
    """A computer behind ssh with this machine's processor, a Debian of its own, and nothing installed."""
    board = start_board("pc", "--site", "bare")
    monkeypatch.setenv("SEGFAST_SSH", board.ssh_command)
    return board
