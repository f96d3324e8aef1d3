"""What boards share, built once into the cache: a Debian user-land, the emulator, a server for ssh, packages."""

import compileall
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import debian
from boards import MARK
from failure import BoardError

from segfast_edge.errors import TargetError
from segfast_edge.remote.wheels import Platform, cache_folder, gather

HERE = Path(__file__).resolve().parent
CONSTRAINTS = HERE.parent / "constraints.txt"
NATIVE = "opt/native"  # in the user-land: the few programs of the machine underneath
SSHD, EMULATOR, PLUGIN = f"/{NATIVE}/sshd", f"/{NATIVE}/qemu-aarch64", f"/{NATIVE}/count.so"
USER, UID = "pi", 1000

_GUEST = (
    *("bash", "coreutils", "dash", "findutils", "grep", "gzip", "hostname", "libc-bin", "procps", "sed", "tar"),
    *("util-linux", "mount", "tcsh", "fish", "rsync", "openssh-sftp-server"),
    *("python3-minimal", "libpython3-stdlib", "libgomp1", "libstdc++6"),
)
_UNDERNEATH = ("openssh-server", "qemu-user")
_PROGRAMS = ("usr/sbin/sshd", "usr/bin/qemu-aarch64")
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = "lib64/ld-linux-x86-64.so.2"

MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}
PYTHON, GLIBC = (3, 11), (2, 36)
SITES = {
    "current": ("numpy", "pillow", "ai-edge-litert", "onnxruntime"),
    "tflite-runtime": ("numpy<2", "pillow", "tflite-runtime==2.14.0"),
    "bare": (),
}


def home() -> Path:
    """Return the folder where boards are kept and run."""
    return cache_folder() / "virtual-board"


def guest(architecture: str) -> Path:
    """Return the root filesystem for ``arm64`` or ``amd64``, built first where it is not in the cache.

    Raises:
        BoardError: this is no x86-64 Linux, or Debian's packages cannot be had.
    """
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise BoardError(f"virtual boards run on x86-64 Linux; this is {platform.system()} {platform.machine()}")
    sources = b"".join((HERE / name).read_bytes() for name in ("build.py", "debian.py", "count.c"))
    folder = home() / f"{architecture}-{hashlib.sha256(sources).hexdigest()[:16]}"
    if not folder.is_dir():
        with _alone(), tempfile.TemporaryDirectory(prefix="building-", dir=home()) as name:
            if not folder.is_dir():  # another process may have built it while this one waited
                _build(architecture, Path(name)).replace(folder)
    return folder


def site(name: str, architecture: str) -> Path:
    """Return the folder of packages called ``name`` in SITES, gathered first where it is not in the cache."""
    if not SITES[name]:
        empty = home() / "site-bare"
        empty.mkdir(parents=True, exist_ok=True)
        return empty
    try:
        with _alone():
            constraints = None if name == "tflite-runtime" else CONSTRAINTS
            return gather(SITES[name], Platform(MACHINES[architecture], PYTHON, GLIBC), constraints=constraints)
    except TargetError as error:
        raise BoardError(str(error)) from error


@contextmanager
def _alone() -> Iterator[None]:
    home().mkdir(parents=True, exist_ok=True)
    with (home() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(architecture: str, work: Path) -> Path:
    root, native = work / "root", work / "native"
    debian.unpack(_GUEST, architecture, root)
    debian.unpack(_UNDERNEATH, "amd64", native)
    _add_native(native, root)
    for name in ("proc", "sys", "dev", "tmp", f"home/{USER}", "run/board", "opt/site", "var/empty"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "etc/passwd").write_text(f"root:x:0:0:root:/root:/bin/sh\n{USER}:x:{UID}:{UID}::/home/{USER}:/bin/bash\n")
    (root / "etc/group").write_text(f"root:x:0:\n{USER}:x:{UID}:\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    if architecture == "arm64":
        (root / MARK).write_text("")  # each emulated board mounts its own over it
    if sys.version_info[:2] == PYTHON:  # byte code is the same on every processor
        compileall.compile_dir(root / "usr/lib/python3.11", quiet=2)
    return root


def _add_native(native: Path, root: Path) -> None:
    """Copy the emulator, the server and their libraries in: they run inside, so their loader must be found there."""
    programs = root / NATIVE
    programs.mkdir(parents=True)
    for name in _PROGRAMS:
        shutil.copy(native / name, programs)
    libraries = root / _LIBRARIES
    libraries.mkdir(parents=True, exist_ok=True)
    for library in (native / _LIBRARIES).glob("*.so*"):
        if library.is_file() and not (libraries / library.name).exists():
            shutil.copy(library, libraries / library.name)  # links become files; the loader takes either
    if not (root / _LOADER).exists():
        (root / _LOADER).parent.mkdir(exist_ok=True)
        shutil.copy(libraries / Path(_LOADER).name, root / _LOADER)
    _compile_plugin(programs / Path(PLUGIN).name)


def _compile_plugin(target: Path) -> None:
    """Compile the instruction counter; without a C compiler boards work and count nothing."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return
    flags = ["-O2", "-fPIC", "-shared", "-fvisibility=hidden"]
    done = subprocess.run(
        [compiler, *flags, str(HERE / "count.c"), "-o", str(target)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"{compiler} ended with status {done.returncode}"]
        raise BoardError(f"cannot compile the instruction counter: {lines[0]}")
