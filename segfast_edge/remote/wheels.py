"""Wheels for another computer, gathered here and unpacked into one folder that becomes a PYTHONPATH there."""

import fcntl
import hashlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segfast_edge.contract.shared.endings import failure
from segfast_edge.contract.shared.files import replacing_folder, user_cache_folder
from segfast_edge.errors import TargetError

_OLDEST_MANYLINUX = 17  # manylinux2014; nothing older is built for Python 3.10 and newer
_GLIBC_SYMBOL = re.compile(rb"GLIBC_2\.(\d+)\b")


def cache_folder() -> Path:
    """Return where downloads are kept; TargetError for a user without a home folder."""
    folder = user_cache_folder()
    if folder is None:
        raise TargetError("there is no home folder to cache downloads in; set SEGFAST_CACHE to a folder")
    return folder


@dataclass(frozen=True, slots=True)
class Platform:
    """The facts that decide whether a wheel fits a computer: ``uname -m``, Python's version, and glibc's."""

    machine: str
    python: tuple[int, int]
    glibc: tuple[int, int]

    def tags(self) -> list[str]:
        """Return the platform tags of wheels that may run there, the newest glibc first."""
        newest = range(self.glibc[1], _OLDEST_MANYLINUX - 1, -1) if self.glibc[0] == 2 else range(0)
        return [
            *(f"manylinux_2_{minor}_{self.machine}" for minor in newest),
            f"manylinux2014_{self.machine}",
            f"linux_{self.machine}",
        ]

    def __str__(self) -> str:
        """Name it for a message."""
        return f"{self.machine}, Python {_dotted(self.python)}, glibc {_dotted(self.glibc)}"


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def gather(requirements: Sequence[str], platform: Platform, *, constraints: Path | None = None) -> Path:
    """Return a folder with the requirements and all they need, unpacked for ``platform``; downloaded once.

    pip runs as it is configured on this machine. It reads markers such as ``python_version`` for its own Python,
    so what an import on the device says is what counts.

    Raises:
        TargetError: pip is missing, no wheel fits, or one needs a newer glibc than its name says.
    """
    pins = constraints.read_text(encoding="utf-8") if constraints else ""
    text = "\n".join([*sorted(requirements), *platform.tags(), _dotted(platform.python), pins])
    folder = cache_folder() / "wheels" / f"site-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two devices of a fleet may want the same at once
        if not folder.is_dir():
            with replacing_folder(folder) as temporary:
                _install(requirements, platform, temporary, constraints)
                refuse_newer_glibc(temporary, platform)
    return folder


def _install(requirements: Sequence[str], platform: Platform, folder: Path, constraints: Path | None) -> None:
    if importlib.util.find_spec("pip") is None:
        raise TargetError(f"pip is missing here. Run: {sys.executable} -m ensurepip")
    tags = [word for tag in platform.tags() for word in ("--platform", tag)]
    fixed = ["--constraint", str(constraints)] if constraints else []
    # byte code of the same Python saves the device compiling at every start; another Python's would only be dead weight
    compiling = [] if platform.python == sys.version_info[:2] else ["--no-compile"]
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", *compiling, "--only-binary=:all:"),
        *("--implementation", "cp", "--python-version", _dotted(platform.python), "--target", str(folder)),
        *tags,
        *fixed,
        *requirements,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        said = failure("pip", done.returncode, "\n".join(errors), prefix="ERROR: ")
        raise TargetError(f"no wheels of {', '.join(requirements)} for {platform}: {said}")


def needed_glibc(folder: Path) -> tuple[tuple[int, int], Path | None]:
    """Return the newest glibc that a library in ``folder`` asks for, and that library; (0, 0) and None if none does."""
    newest: tuple[tuple[int, int], Path | None] = (0, 0), None
    for library in sorted(folder.rglob("*.so*")):
        if library.is_file():
            versions = [int(minor) for minor in _GLIBC_SYMBOL.findall(library.read_bytes())]
            if versions and (2, max(versions)) > newest[0]:
                newest = (2, max(versions)), library
    return newest


def refuse_newer_glibc(folder: Path, platform: Platform) -> None:
    """Raise TargetError if a library asks for a newer glibc, whatever its wheel's name says (ai-edge-litert 2.3)."""
    needed, library = needed_glibc(folder)
    if library is not None and needed > platform.glibc:
        raise TargetError(
            f"{library.relative_to(folder)} needs glibc {_dotted(needed)}; the device has {_dotted(platform.glibc)}. "
            "Use a newer system there, or an older runtime"
        )
