"""The facts about a device, read over ssh, and the check that they are enough to work with."""

from collections.abc import Mapping
from dataclasses import dataclass

from segfast_edge import DEVICE_PYTHON
from segfast_edge.errors import TargetError
from segfast_edge.remote.ssh import Ssh
from segfast_edge.remote.wheels import Platform

PREFIX = "segfast-edge"  # of every folder made on a device
# shell functions: is a folder writable, does a program run in it, and the first writable place for temporary files
PLACES = r"""
writable() { [ -d "$1" ] && [ -w "$1" ]; }
runs() {
  trial="$1/.segfast-edge-$$"
  (printf "#!/bin/sh\nexit 0\n" >"$trial" && chmod 700 "$trial" && "$trial") 2>/dev/null
  result=$?
  rm -f "$trial"
  return $result
}
temporary() {
  for place in "${TMPDIR:-/tmp}" /tmp /var/tmp "$HOME"; do
    writable "$place" && echo "$place" && return
  done
  echo "no folder for temporary files is writable: ${TMPDIR:-/tmp}, /tmp, /var/tmp, $HOME" >&2
  exit 1
}
"""
_NEEDED = ("tar", "timeout", "setsid", "tail", "mktemp")
_BUSY = 0.5  # of all cores' time taken by others: nothing measured there would mean anything

# one "name value" per line
_PROBE = rf"""
{PLACES}
place=$(temporary) || exit 1
say() {{ printf "probe %s %s\n" "$1" "$2"; }}
say machine "$(uname -m)"
say name "$(uname -n)"
say kernel "$(uname -sr)"
say cpus "$(getconf _NPROCESSORS_ONLN)"
say glibc "$(getconf GNU_LIBC_VERSION 2>/dev/null)"
say time "$(head -n 1 /proc/stat)"
sleep 0.5
say time "$(head -n 1 /proc/stat)"
say disk "$(df -Pk "$place" | tail -n 1)"
say home "$(df -Pk "$HOME" 2>/dev/null | tail -n 1)"
for model in /proc/device-tree/model /sys/firmware/devicetree/base/model; do
  [ -r $model ] && say model "$(tr -d "\000" <$model)"
done
[ -r /etc/segfast-virtual-board ] && while read -r line; do say virtual "$line"; done </etc/segfast-virtual-board
for tool in rsync {" ".join(_NEEDED)}; do command -v $tool >/dev/null && say tool $tool; done
for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
  version=$($python -c "import sys; print(sys.version_info[0], sys.version_info[1])" 2>/dev/null) &&
    say python "$version $(command -v $python)"
done
for job in "$place"/{PREFIX}.*/pid; do
  [ -s "$job" ] && [ ! -e "${{job%/pid}}/status" ] && kill -0 "$(cat "$job")" 2>/dev/null && say job "$(cat "$job")"
done
say end 1
"""


@dataclass(frozen=True, slots=True)
class Board:
    """A device as it described itself.

    ``busy`` is the share of all cores' time that was in use, 0 to 1. ``virtual`` holds what a virtual board says
    of itself, and is empty elsewhere. ``free_bytes`` is room for temporary files, ``home_free_bytes`` for lasting ones.
    """

    name: str
    model: str | None
    machine: str
    kernel: str
    cpus: int
    busy: float
    free_bytes: int
    home_free_bytes: int
    glibc: tuple[int, int]
    python: str
    python_version: tuple[int, int]
    tools: frozenset[str]
    jobs: tuple[int, ...]
    virtual: Mapping[str, str]

    @property
    def emulated(self) -> bool:
        """Whether this is an emulated board, on which times mean nothing."""
        return bool(self.virtual)

    @property
    def platform(self) -> Platform:
        """What decides which wheels fit."""
        return Platform(self.machine, self.python_version, self.glibc)


def check(ssh: Ssh) -> Board:
    """Ask a device what it is.

    Raises:
        UnreachableError: ssh cannot reach it; the message ends with ssh's own words.
        TargetError: there is no shell, no Python, one that is too old, no glibc, no writable folder, or a basic tool is
            missing.
    """
    said: dict[str, list[str]] = {}
    for line in ssh.output(_PROBE).decode(errors="replace").splitlines():
        word, _, rest = line.partition(" ")
        name, _, value = rest.partition(" ")
        if word == "probe":
            said.setdefault(name, []).append(value.strip())
    if "end" not in said:
        raise TargetError(f"{ssh.host} ended the first script halfway; is its sh a POSIX shell?")
    return _board(ssh.host, said)


def _board(host: str, said: Mapping[str, list[str]]) -> Board:
    missing = [tool for tool in _NEEDED if tool not in said.get("tool", [])]
    if missing:
        raise TargetError(f"{host} lacks {', '.join(missing)}. Run there: apt-get install coreutils util-linux tar")
    version, python = _python(host, said.get("python", []))
    glibc = said["glibc"][0].split()
    if len(glibc) != 2:
        raise TargetError(f"{host} has no glibc; the runtimes' wheels need one (a Debian, Ubuntu or similar system)")
    return Board(
        name=said["name"][0],
        model=said["model"][0] if "model" in said else None,
        machine=said["machine"][0],
        kernel=said["kernel"][0],
        cpus=int(said["cpus"][0]),
        busy=_busy(*said["time"]),
        free_bytes=free_bytes(said["disk"][0]),
        home_free_bytes=free_bytes(said["home"][0]) if said["home"][0] else 0,
        glibc=_version(glibc[1].split(".")),
        python=python,
        python_version=version,
        tools=frozenset(said["tool"]),
        jobs=tuple(map(int, said.get("job", []))),
        virtual=dict(line.split("=", 1) for line in said.get("virtual", []) if "=" in line),
    )


def _busy(before: str, after: str) -> float:
    """Return the share of time in use between two readings of /proc/stat: 4 is idle, 5 is waiting for a disk."""
    spent = [int(b) - int(a) for a, b in zip(before.split()[1:9], after.split()[1:9], strict=True)]
    return 1 - (spent[3] + spent[4]) / max(1, sum(spent))


def free_bytes(line: str) -> int:
    """Read the line that ``df -Pk`` gives for a file system; TargetError if it is none."""
    try:
        return int(line.split()[3]) * 1024  # df -P: device, size, used, available
    except (IndexError, ValueError) as error:
        raise TargetError(f"df -Pk on the device does not report the free space: '{line.strip()}'") from error


def _version(parts: list[str]) -> tuple[int, int]:
    return int(parts[0]), int(parts[1])


def _python(host: str, found: list[str]) -> tuple[tuple[int, int], str]:
    """Return the version and path of the first Python that is new enough; ``python3`` was asked first."""
    needed = ".".join(map(str, DEVICE_PYTHON))
    pythons = [(_version(line.split()), line.split(maxsplit=2)[2]) for line in found]
    if not pythons:
        raise TargetError(f"{host} has no Python; {needed} or newer is needed. Run there: apt-get install python3")
    fitting = [each for each in pythons if each[0] >= DEVICE_PYTHON]
    if not fitting:
        newest = ".".join(map(str, max(pythons)[0]))
        raise TargetError(f"{host} has Python {newest}; {needed} or newer is needed there")
    return fitting[0]


def refuse_busy(ssh: Ssh, board: Board) -> None:
    """Raise TargetError if another job of ours runs, or others keep the cores busy."""
    if board.jobs:
        raise TargetError(f"{ssh.host} is busy: another segfast-edge job is running there (process {board.jobs[0]})")
    if not board.emulated and board.busy > _BUSY:
        raise TargetError(
            f"{ssh.host} is busy: {board.busy:.0%} of its {board.cpus} cores' time is in use; at most {_BUSY:.0%} "
            "is allowed for a valid measurement"
        )


def refuse_full(ssh: Ssh, free_bytes: int, needed_bytes: int) -> None:
    """Raise TargetError if ``free_bytes`` of a device's disk are no room for ``needed_bytes`` and a little more."""
    needed = needed_bytes * 11 // 10 + 2_000_000
    if free_bytes < needed:
        raise TargetError(f"{ssh.host} has {free_bytes / 1e6:.0f} MB free; {needed / 1e6:.0f} MB are needed there")
