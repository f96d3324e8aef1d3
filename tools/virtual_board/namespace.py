"""Run a program inside a virtual board: ``python -I namespace.py SPEC.json``, without privilege, leaving nothing.

The program sees the board's root filesystem, its /proc, /sys and host name, and has processes of its own. Programs
for aarch64 go through the emulator because the namespace has a binfmt_misc of its own (Linux 6.7 or newer); the
machine underneath is not told of it. When this process ends, or its time is up, so does everything inside.
"""

import ctypes
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)

# from <linux/sched.h>, <linux/mount.h>, <linux/prctl.h>, <linux/personality.h> and the x86-64 system call table
NEW_MOUNTS, NEW_HOSTNAME, NEW_USERS, NEW_PROCESSES = 0x00020000, 0x04000000, 0x10000000, 0x20000000
READ_ONLY, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 32, 4096, 16384, 1 << 18
DETACH = 2
DEATH_SIGNAL, FIXED_ADDRESSES = 1, 0x0040000
PIVOT_ROOT = 155
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

# ELF, 64-bit, little-endian, machine 183; "F" opens the emulator now, "P" keeps argv[0]
AARCH64 = (
    r":segfast:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:{emulator}:FP"
)


def _checked(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def unshare(kinds: int, uid: int, what: str) -> None:
    """Enter new namespaces, as user ``uid`` of a new user namespace that has no other user."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    _checked(_libc.unshare(NEW_USERS | kinds), what)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{uid} {outer_gid} 1")


def mount(source: str | Path, target: Path, *, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a filesystem of ``kind``, or bind ``source`` where ``flags`` say so."""
    done = _libc.mount(str(source).encode(), str(target).encode(), kind.encode(), flags, data.encode() or None)
    _checked(done, f"mount {kind or source} on {target}")


def _make_read_only(target: Path) -> None:
    # a remount may not drop restrictions that the outer mount has, and statvfs tells them in the same bits
    locked = os.statvfs(target).f_flag & (2 | 4 | 8 | 1024 | 2048)  # nosuid, nodev, noexec, noatime, nodiratime
    mount("none", target, flags=REMOUNT | BIND | READ_ONLY | locked)


def _furnish(root: Path, spec: dict[str, Any]) -> None:
    """Mount everything a board has onto ``root``."""
    mount("none", Path("/"), flags=RECURSIVE | PRIVATE)
    mount(spec["guest"], root, flags=BIND)
    _make_read_only(root)
    mount("proc", root / "proc", kind="proc")
    for source, target in spec["binds"].items():
        mount(source, root / target, flags=BIND | RECURSIVE)
    mount("tmpfs", root / "dev", kind="tmpfs", data="size=64k,mode=755")
    for name in DEVICES:
        (root / "dev" / name).touch()
        mount(f"/dev/{name}", root / "dev" / name, flags=BIND)
    (root / "dev/fd").symlink_to("/proc/self/fd")
    (root / "dev/shm").mkdir()
    size = f"size={spec['disk_mb']}m"
    mount("tmpfs", root / "dev/shm", kind="tmpfs", data=f"{size},mode=1777")
    # /tmp and the home folder are two doors to one disk, so that it has one size
    mount("tmpfs", root / "tmp", kind="tmpfs", data=f"{size},mode=1777")
    mount(root / "tmp", root / "home/pi", flags=BIND)


def _change_root(root: Path) -> None:
    """Make ``root`` the root of this mount namespace: a mere chroot could not open another user namespace inside."""
    os.chdir(root)
    _checked(_libc.syscall(PIVOT_ROOT, b".", b"."), "pivot_root")
    _checked(_libc.umount2(b".", DETACH), "umount of the old root")
    os.chdir("/")


def _register(emulator: str) -> None:
    """Have this namespace's kernel interface start ``emulator`` for aarch64 programs."""
    formats = Path("/proc/sys/fs/binfmt_misc")
    mount("binfmt_misc", formats, kind="binfmt_misc")
    (formats / "register").write_text(AARCH64.format(emulator=emulator))


def _become(spec: dict[str, Any]) -> None:
    """Turn into the program, as the board's ordinary user and with addresses that do not change from run to run."""
    unshare(0, spec["uid"], "user namespace of the board's user")
    _libc.personality(FIXED_ADDRESSES)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.chdir("/home/pi")
    os.execve(spec["argv"][0], spec["argv"], spec["environment"])  # noqa: S606 - becoming the program is the point


def _first_process(spec: dict[str, Any]) -> int:
    """Be process 1 of the board: set it up, start the program, reap what is orphaned, return the program's status."""
    _libc.prctl(DEATH_SIGNAL, signal.SIGKILL)
    socket.sethostname(spec["hostname"])
    _furnish(Path(spec["root"]), spec)
    _change_root(Path(spec["root"]))
    if spec["emulator"]:
        _register(spec["emulator"])
    program = os.fork()
    if program == 0:
        _leave(lambda: _become(spec))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(program, number))
    while True:
        ended, status = os.wait()
        if ended == program:
            return os.waitstatus_to_exitcode(status) & 0xFF


def _leave(work: Any) -> None:
    """End this process with what ``work`` returns, or one line of what went wrong."""
    try:
        os._exit(work() or 0)
    except OSError as error:
        print(f"virtual board: {error.strerror or error}", file=sys.stderr, flush=True)
        os._exit(125)


def main(path: str) -> int:
    """Do what the specification in ``path`` says; return the program's exit status, 125 where it was not started."""
    spec = json.loads(Path(path).read_text())
    unshare(NEW_MOUNTS | NEW_HOSTNAME | NEW_PROCESSES, 0, "user namespaces are not allowed here")
    first = os.fork()
    if first == 0:
        _leave(lambda: _first_process(spec))
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, lambda *_: os.kill(first, signal.SIGKILL))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the program as well
    if spec["life_s"]:
        signal.alarm(spec["life_s"])
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF


if __name__ == "__main__":
    _leave(lambda: main(sys.argv[1]))
