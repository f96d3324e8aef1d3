"""Debian packages unpacked into a folder: fetched by the machine's own apt under a private state, never installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import IO

from failure import BoardError

RELEASE = "bookworm"  # Raspberry Pi OS 12 is this; its glibc 2.36 and Python 3.11 serve every runtime we name
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_MERGED = ("bin", "sbin", "lib")  # links into usr since Debian 12


def unpack(packages: tuple[str, ...], architecture: str, folder: Path, work: Path) -> None:
    """Fetch packages with all they depend on, and unpack them below ``folder``; ``work`` holds apt's private state.

    Raises:
        BoardError: apt is missing, knows no Debian archive, or a package cannot be fetched.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise BoardError(f"{tool} is missing: virtual boards are made of Debian packages, on Debian")
    options = _private_state(architecture, work)
    _run(["apt-get", *options, "-qq", "update"], "Debian's package lists")
    _run(["apt-get", *options, "-qq", "-y", "--download-only", "install", *packages], f"packages for {architecture}")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _MERGED:
        (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(f"usr/{name}")
    for package in sorted((work / "archives").glob("*.deb")):
        _unpack_one(package, folder)


def _unpack_one(package: Path, folder: Path) -> None:
    content = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
    # a package that ships /lib as a folder must not replace the link to usr/lib
    _run(["tar", "-x", "-C", str(folder), "--keep-directory-symlink", "--no-same-owner"], package.name, content.stdout)
    if content.wait() != 0:
        raise BoardError(f"{package.name} cannot be unpacked")


def _archive() -> str:
    """Return the address of the Debian archive that apt is configured with on this machine."""
    # what an update would fetch is told without fetching it, and on a machine that never did
    listed = _run(["apt-get", "update", "--print-uris", "-o", "Debug::NoLocking=true"], "apt's configuration")
    found = re.search(r"^'(\S+/debian)/+dists/", listed, re.MULTILINE)
    if found is None:
        raise BoardError("apt on this machine knows no Debian archive, so there is nothing to make a board from")
    return found[1]


def _private_state(architecture: str, work: Path) -> list[str]:
    """Make an empty package state in ``work`` and return the options that point apt at it."""
    for name in ("lists/partial", "archives/partial", "sources"):
        (work / name).mkdir(parents=True, exist_ok=True)
    (work / "status").write_text("")
    signed = f"Signed-By: {_KEYRING}\n" if _KEYRING.is_file() else ""
    (work / "sources" / "debian.sources").write_text(
        f"Types: deb\nURIs: {_archive()}\nSuites: {RELEASE} {RELEASE}-updates\nComponents: main\n{signed}"
    )
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures::": architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",  # an unprivileged user has nobody to change to
        "APT::Keep-Downloaded-Packages": "true",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Debug::NoLocking": "true",
        "Dir::State": str(work),
        "Dir::State::status": str(work / "status"),
        "Dir::Cache": str(work),
        "Dir::Cache::archives": str(work / "archives"),
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": str(work / "sources"),
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _run(command: list[str], what: str, stdin: IO[bytes] | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, check=False, stdin=stdin or subprocess.DEVNULL, capture_output=True, text=True, env=environment
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"{command[0]} ended with status {done.returncode}"]
        raise BoardError(f"cannot get {what}: {lines[0]}")
    return done.stdout
