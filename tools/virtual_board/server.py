"""Starting a program on a board, and a board that ssh can reach, with keys of its own and a bounded life."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import build
from boards import MARK, VirtualBoard, write_files
from failure import BoardError

_PATIENCE_S = 20.0
_SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey /run/board/host_key
AuthorizedKeysFile /run/board/authorized_keys
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin no
PrintMotd no
AllowTcpForwarding no
AllowAgentForwarding no
X11Forwarding no
MaxStartups 20
Subsystem sftp /usr/lib/openssh/sftp-server
SetEnv {environment}
"""
_SSH_CONFIG = """\
Host {name}
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {folder}/client_key
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  LogLevel ERROR
"""


@dataclass(frozen=True, slots=True)
class BoardRequest:
    """What board is wanted: its packages, the size of its disk in MB, and how long it lives at most, 0 for ever."""

    board: VirtualBoard
    site: str = "current"
    disk_mb: int = 2048
    life_s: int = 900

    def __post_init__(self) -> None:
        if self.site not in build.SITES:
            raise BoardError(f"unknown site '{self.site}'. Known: {', '.join(build.SITES)}")
        if self.disk_mb < 1 or self.life_s < 0:
            raise BoardError(f"disk of {self.disk_mb} MB and life of {self.life_s} s: give at least 1 MB and 0 s")


@dataclass(frozen=True, slots=True)
class Running:
    """A board that ssh reaches: ``ssh -F ssh_config host``."""

    name: str
    host: str
    ssh_config: str
    pid: int


def environment(request: BoardRequest) -> dict[str, str]:
    """Return the variables of every program on the board; the emulator reads those that begin with QEMU."""
    emulator = {"QEMU_CPU": request.board.soc.core.name, "QEMU_RAND_SEED": "1"} if request.board.soc else {}
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": "/opt/site",
        "PYTHONDONTWRITEBYTECODE": "1",
        **emulator,
    }


def _launch(request: BoardRequest, folder: Path, argv: list[str], variables: dict[str, str]) -> list[str]:
    """Write a board's files into ``folder``; return the command that runs ``argv`` on it."""
    architecture = request.board.architecture
    (folder / "root").mkdir()
    spec = {
        "guest": str(build.guest(architecture)),
        "root": str(folder / "root"),
        "binds": {
            str(folder): "run/board",
            str(build.site(request.site, architecture)): "opt/site",
            **_own_files(request.board, folder / "files"),
        },
        "hostname": request.board.name,
        "emulator": build.EMULATOR if request.board.soc else "",
        "uid": build.UID,
        "disk_mb": request.disk_mb,
        "life_s": request.life_s,
        "argv": argv,
        "environment": variables,
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    return [sys.executable, "-I", str(build.HERE / "namespace.py"), str(folder / "spec.json")]


def _own_files(board: VirtualBoard, files: Path) -> dict[str, str]:
    """Write what a program tells the board by; return where each goes."""
    if board.soc is None:
        return {"/sys": "sys"}
    write_files(board.soc, files)
    mark = files / Path(MARK).name
    count = f"count={build.PLUGIN}\n" if _plugin_is_there() else ""
    mark.write_text(f"name={board.name}\ncpu={board.soc.core.name}\nemulated=1\n{count}")
    return {str(files / "proc/cpuinfo"): "proc/cpuinfo", str(files / "sys"): "sys", str(mark): MARK}


def _plugin_is_there() -> bool:
    return (build.guest("arm64") / build.PLUGIN.lstrip("/")).is_file()


def enter(request: BoardRequest, argv: list[str], count: Path | None = None) -> int:
    """Run one program on a fresh board, with this process's input and output; return its exit status."""
    folder = _new_folder(f"enter-{os.getpid()}")
    try:
        variables = {**environment(request), "HOME": f"/home/{build.USER}", "USER": build.USER}
        if count is not None:
            if request.board.soc is None or not _plugin_is_there():
                raise BoardError("nothing counts here: only emulated boards count, and building the counter needs gcc")
            variables |= {"QEMU_PLUGIN": f"file={build.PLUGIN},out=/run/board/counts.jsonl", "PYTHONHASHSEED": "0"}
        words = ["/usr/bin/env", "--", *argv]  # finds the program on the board's PATH
        status = subprocess.run(_launch(request, folder, words, variables), check=False).returncode
        if count is not None and (folder / "counts.jsonl").is_file():
            shutil.copyfile(folder / "counts.jsonl", count)
        return status
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(request: BoardRequest, name: str) -> Running:
    """Start a board under ``name`` and wait until its ssh answers.

    Raises:
        BoardError: a board of that name runs, ssh-keygen is missing, or the server did not come up.
    """
    if (running := find(name)) is not None:
        raise BoardError(f"board '{name}' is running (process {running.pid}); stop it first, or give another --name")
    shutil.rmtree(build.home() / "run" / name, ignore_errors=True)
    folder = _new_folder(name)
    port = _free_port()
    _make_keys(folder, port)
    variables = " ".join(f'"{key}={value}"' for key, value in environment(request).items())
    (folder / "sshd_config").write_text(_SSHD_CONFIG.format(port=port, environment=variables))
    (folder / "ssh_config").write_text(
        _SSH_CONFIG.format(name=name, port=port, user=build.USER, folder=folder), encoding="utf-8"
    )
    argv = [build.SSHD, "-D", "-e", "-f", "/run/board/sshd_config"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            _launch(request, folder, argv, environment(request)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    board = Running(name, name, str(folder / "ssh_config"), process.pid)
    (folder / "running.json").write_text(json.dumps(asdict(board)))
    _await_port(port, process, folder / "log")
    return board


def find(name: str) -> Running | None:
    """Return the board running under ``name``, or None."""
    folder = build.home() / "run" / name
    try:
        board = Running(**json.loads((folder / "running.json").read_text()))
        words = Path(f"/proc/{board.pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, TypeError):
        return None
    return board if str(folder / "spec.json").encode() in words else None


def stop(name: str) -> bool:
    """End a board and everything on it; say whether one was running."""
    board = find(name)
    if board is not None:
        os.kill(board.pid, signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE_S
        while find(name) is not None and time.monotonic() < deadline:
            time.sleep(0.02)
    shutil.rmtree(build.home() / "run" / name, ignore_errors=True)
    return board is not None


def names() -> list[str]:
    """Return the names of the boards that run."""
    return sorted(folder.name for folder in (build.home() / "run").glob("*") if find(folder.name) is not None)


def _new_folder(name: str) -> Path:
    folder = build.home() / "run" / name
    folder.mkdir(parents=True, mode=0o700)
    return folder


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _make_keys(folder: Path, port: int) -> None:
    if shutil.which("ssh-keygen") is None:
        raise BoardError("ssh-keygen is missing: apt-get install openssh-client")
    for key in ("host_key", "client_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "throw-away", "-f", str(folder / key)]
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise BoardError(f"cannot make a key: {done.stderr.strip() or done.returncode}")
    shutil.copyfile(folder / "client_key.pub", folder / "authorized_keys")
    kind, key, _ = (folder / "host_key.pub").read_text().split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")


def _await_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    if process.poll() is None:
        process.kill()
    lines = log.read_text().strip().splitlines() or ["it said nothing"]
    raise BoardError(f"the board's ssh server did not come up: {lines[-1].removeprefix('virtual board: ')}")
