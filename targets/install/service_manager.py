"""Keeps the runner running: by systemd, as a plain process if there is no systemd, or not at all."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.durable import make_folder_durably, replace_durably, sync_folder
from segfast_edge.contract.shared.endings import failure, how_ended
from segfast_edge.errors import TargetError, unknown
from targets.install import sandbox
from targets.install.config import written_folders
from targets.install.guard import PROOF
from targets.install.guard_file import GUARD
from targets.install.layout import Layout
from targets.install.trial import configurations

UNIT = "segfast-edge.service"
KINDS = ("auto", "systemd", "process", "none")
_STOP_S = 15.0  # the runner drains for 5


class ServiceManager:
    """Restarts and stops the runner of the current release. This one does nothing: somebody else starts the runner.

    ``status_file`` is where that runner writes its status, ``owner`` the user and group that it is, if not the
    installer's, ``proof`` where it notes that its release is healthy, if it may not write anywhere else.
    """

    name = "none"
    status_file: Path | None = None
    owner: tuple[int, int] | None = None
    proof: Path | None = None

    def prepare(self, config: dict[str, Any]) -> None:
        """Make what a runner on ``config`` needs, before anything is switched."""

    def set_up(self) -> None:
        """Make ready to run the current release, now and after the next start of the device."""

    def restart(self) -> None:
        """Run the current release instead of whatever runs."""

    def stop(self) -> None:
        """Run nothing."""

    @property
    def over(self) -> bool:
        """Whether the runner has ended and nobody starts it again."""
        return False

    def ending(self) -> str:
        """Return how the runner ended, as ``the runner ended with status 2``; "" if it runs or nothing is known."""
        return ""


def choose(kind: str, layout: Layout, python: str) -> ServiceManager:
    """Return the service of a kind; ``auto``: what was said before, else systemd if it runs here, else nothing.

    Raises:
        TargetError: no such kind, systemd is asked for and not there, or it would misread a path.
    """
    if kind not in KINDS:
        raise TargetError(unknown("service", kind, KINDS))
    if kind == "auto":
        kind = _said_before(layout)
    booted = Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None
    if kind == "systemd" and not booted:
        raise TargetError("systemd does not run here; use --service process or none")
    if kind == "systemd" or (kind == "auto" and booted):
        return Systemd(layout, python, user=os.getuid() != 0)
    return Process(layout, python) if kind == "process" else ServiceManager()


def _said_before(layout: Layout) -> str:
    try:
        kind = json.loads(layout.service.read_text(encoding="utf-8"))["kind"]
    except FileNotFoundError:
        return "auto"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        kind = None
    if kind not in KINDS:
        raise TargetError(f"{layout.service} names no service; remove it, or pass --service")
    return str(kind)


class Systemd(ServiceManager):
    """A unit of the system's, or of the user's if the installer is not root."""

    name = "systemd"

    def __init__(self, layout: Layout, python: str, *, user: bool) -> None:
        for path in (str(layout.root), python):
            if not re.fullmatch(r"[\w/.,+@=-]+", path):
                raise TargetError(f"'{path}' has characters that systemd treats specially; choose another path")
        self._layout = layout
        self._python = python
        self._user = user
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")) if user else Path("/run")
        self.status_file = runtime / "segfast-edge" / "status.json"
        self.proof = None if user else Path("/var/lib/segfast-edge") / PROOF

    def prepare(self, config: dict[str, Any]) -> None:
        """Make the service's user and the folders that it writes to; give it the configuration to read."""
        if self._user:
            return
        self.owner = sandbox.service_user()
        for folder in written_folders(config):
            sandbox.make_writable(folder, self.owner)
        with contextlib.suppress(FileNotFoundError):
            self._layout.config.chmod(0o600)
            os.chown(self._layout.config, *self.owner)

    @property
    def unit(self) -> Path:
        """The unit's file."""
        home = Path.home() / ".config/systemd/user" if self._user else Path("/etc/systemd/system")
        return home / UNIT

    @property
    def _wanted(self) -> str:
        return "default.target" if self._user else "multi-user.target"

    def text(self) -> str:
        """Return the unit, from the current release's template."""
        template = (self._layout.root / "current" / UNIT).read_text(encoding="utf-8")
        template = template.replace("@ROOT@/guard.py\n", f"@ROOT@/{GUARD}\n")  # releases up to 0.1 name it so
        values = {"@ROOT@": str(self._layout.root), "@PYTHON@": self._python, "@WANTED@": self._wanted}
        if not self._user:
            folders = [f for config in configurations(self._layout) for f in written_folders(config)]
            values |= {"@SYSTEM@": "", **sandbox.marks(folders)}
        values["@PRIVILEGED@"] = "" if self._user else "+"
        for mark, value in values.items():
            template = template.replace(mark, value)
        return "".join(line for line in template.splitlines(keepends=True) if not line.startswith("@SYSTEM@"))

    def set_up(self) -> None:
        """Write the unit and have it started with the device; tokens in ``environment`` are for its owner alone."""
        with contextlib.suppress(FileNotFoundError):
            (self._layout.root / "environment").chmod(0o600)
        text = self.text()
        if not self.unit.is_file() or self.unit.read_text(encoding="utf-8") != text:
            make_folder_durably(self.unit.parent)
            replace_durably(self.unit, text.encode())
            self._systemctl("daemon-reload")
        self._systemctl("enable", UNIT)
        for folder in (self.unit.parent, self.unit.parent / f"{self._wanted}.wants"):
            if folder.is_dir():  # systemctl does not force the link that it makes to the disk
                sync_folder(folder)

    def restart(self) -> None:
        """Restart the unit; the health watch sees whether it is healthy."""
        self._systemctl("reset-failed", UNIT, check=False)
        self._systemctl("restart", "--no-block", UNIT)

    def stop(self) -> None:
        """Stop the unit."""
        self._systemctl("stop", UNIT)

    def ending(self) -> str:
        """Return how the unit's last main process ended, as systemd knows it."""
        said = self._systemctl("show", "--property=ExecMainCode", "--property=ExecMainStatus", UNIT, check=False)
        shown = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        code, status = (int(shown.get(f"ExecMain{each}", "0") or 0) for each in ("Code", "Status"))
        if code == 0:  # it runs
            return ""
        return f"the runner {how_ended(status if code == os.CLD_EXITED else -status)}. See: journalctl -u {UNIT}"

    def _systemctl(self, *words: str, check: bool = True) -> str:
        command = ["systemctl", *(["--user"] if self._user else []), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise TargetError(f"{' '.join(command)} failed: {failure('systemctl', done.returncode, done.stderr)}")
        return done.stdout


class Process(ServiceManager):
    """A process of its own, for devices without systemd and for trying out; it does not start with the device."""

    name = "process"

    def __init__(self, layout: Layout, python: str) -> None:
        self._layout = layout
        self._python = python
        self._run = layout.root / "run"
        self.status_file = self._run / "status.json"
        self._child: int | None = None
        self._status: int | None = None

    def set_up(self) -> None:
        """Make the folder for what it says."""
        self._run.mkdir(exist_ok=True)

    def restart(self) -> None:
        """End the old runner, let the guard have its say, start the current release."""
        self.stop()
        assert self.status_file is not None
        self.status_file.unlink(missing_ok=True)
        root = self._layout.root
        subprocess.run([self._python, str(root / GUARD)], check=False)
        words = [self._python, str(root / "current/run.py"), "--status-file", str(self.status_file)]
        log = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        streams = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(self._run / "log"), log, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        # in a session of its own, so that it outlives the installer and the ssh session that it may be in
        pid = os.posix_spawnp(self._python, words, os.environ, file_actions=streams, setsid=True)
        self._child, self._status = pid, None
        try:
            (self._run / "pid").write_text(f"{pid} {_started(pid)}")
        except OSError:  # a full disk: a runner that nobody could end later must not run
            os.kill(pid, signal.SIGKILL)
            raise

    def ending(self) -> str:
        """Return how the runner that this process started ended, with the last line of its log."""
        self._reap()
        if self._status is None:
            return ""
        if self._status == 0:
            return "the runner ended with status 0"
        log = (self._run / "log").read_text(encoding="utf-8", errors="replace")
        return failure("the runner", self._status, log[-4000:], prefix="segfast: ", expected=0)

    @property
    def over(self) -> bool:
        """Whether the runner has ended, which nobody starts again."""
        self._reap()
        return self._status is not None

    def _reap(self) -> None:
        if self._child is not None:
            pid, status = os.waitpid(self._child, os.WNOHANG)
            if pid:
                self._child, self._status = None, os.waitstatus_to_exitcode(status)

    def stop(self) -> None:
        """End the runner, by force if it does not end in time."""
        pid = self._pid()
        if pid is None:
            return
        for number, patience in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _STOP_S)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            until = time.monotonic() + patience
            while time.monotonic() < until:
                self._reap()
                if self._pid() is None:
                    return
                time.sleep(0.05)
        raise TargetError(f"the runner, process {pid}, does not end")

    def _pid(self) -> int | None:
        """Return the runner's process, None if it is gone or its number has gone to another."""
        try:
            pid, started = (self._run / "pid").read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if started != "gone" and _started(int(pid)) == started else None


def _started(pid: int) -> str:
    """Return when a process was started, in ticks since boot; ``gone`` where it is not there or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "gone"
    return "gone" if fields[0] == "Z" else fields[19]
