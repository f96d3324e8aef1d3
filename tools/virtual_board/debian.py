"""Debian packages unpacked into a folder by mmdebstrap, never installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from failure import BoardError

RELEASE = "bookworm"  # Raspberry Pi OS 12 is this; its glibc 2.36 and Python 3.11 serve every runtime we name


def unpack(packages: tuple[str, ...], architecture: str, folder: Path) -> None:
    """Fetch packages with all they depend on, and unpack them below ``folder``.

    Raises:
        BoardError: mmdebstrap is missing, apt knows no Debian archive, or a package cannot be fetched.
    """
    if shutil.which("mmdebstrap") is None:
        raise BoardError("virtual boards are made of Debian packages, on Debian. Run: apt-get install mmdebstrap")
    mode = "root" if os.geteuid() == 0 else "chrootless"
    words = ["--variant=extract", f"--mode={mode}", f"--architectures={architecture}"]
    words += ["--components=main", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", "--aptopt=Acquire::Retries 3"]
    _run(["mmdebstrap", *words, f"--include={','.join(packages)}", RELEASE, str(folder), _archive()], architecture)


def _archive() -> str:
    """Return the address of the Debian archive that apt is configured with on this machine."""
    # what an update would fetch is told without fetching it, and on a machine that never did
    listed = _run(["apt-get", "update", "--print-uris", "-o", "Debug::NoLocking=true"], "apt's configuration")
    found = re.search(r"^'(\S+/debian)/+dists/", listed, re.MULTILINE)
    if found is None:
        raise BoardError("apt on this machine knows no Debian archive, so there is nothing to make a board from")
    return found[1]


def _run(command: list[str], what: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment
    )
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("E: ")]
        told = errors or done.stderr.strip().splitlines() or [f"{command[0]} ended with status {done.returncode}"]
        raise BoardError(f"cannot get {what}: {told[0]}")
    return done.stdout
