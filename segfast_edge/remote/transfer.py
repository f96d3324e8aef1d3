"""Folders on their way to a device, and the temporary folder there that is removed whatever happens."""

import contextlib
import logging
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from segfast_edge.errors import TargetError, UnreachableError
from segfast_edge.remote.probe import PLACES, PREFIX, Board, free_bytes
from segfast_edge.remote.ssh import Ssh, rsync

_FULL_BYTES = 1_000_000
_LOG = logging.getLogger(__name__)

# what a computer that was switched off in the middle left behind goes the next time, a day later
_MAKE = rf"""
{PLACES}
place=$(temporary)
find "$place" -maxdepth 1 -name "{PREFIX}.*" -user "$(id -un)" -mmin +1440 -exec rm -rf {{}} + 2>/dev/null
umask 077
mktemp -d "$place/{PREFIX}.XXXXXXXX"
"""


@contextlib.contextmanager
def workspace(ssh: Ssh) -> Iterator[str]:
    """Make a temporary folder on the device, give its path, and remove it with all that is in it.

    Raises:
        TargetError: it cannot be made, for one because the disk is full.
    """
    path = ssh.output(_MAKE).decode().strip().splitlines()[-1]
    try:
        yield path
    finally:
        try:
            ssh.output(f"rm -rf -- {shlex.quote(path)}", cleaning=True)
        except TargetError as error:
            _LOG.warning("%s:%s was not removed: %s", ssh.host, path, error)


def size_of(folder: Path) -> int:
    """Return the bytes of all files below ``folder``."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def copy(ssh: Ssh, board: Board, source: Path, destination: str) -> None:
    """Make the device's folder ``destination`` hold what the local folder ``source`` holds.

    By rsync if both sides have it, so that a second try sends only what is missing; else by tar through ssh.

    Raises:
        UnreachableError: the connection failed.
        TargetError: the device refused it, for one because its disk is full.
    """
    ssh.output(f"mkdir -p {shlex.quote(destination)}")
    try:
        _copy(ssh, board, source, destination)
    except UnreachableError:
        raise
    except TargetError as error:  # of a full disk tar may say only that it wrote too little
        if _is_full(ssh, destination):
            raise TargetError(f"{ssh.host}: No space left on device for {destination}") from error
        raise


def _is_full(ssh: Ssh, folder: str) -> bool:
    """Say whether the device's disk is full; no if the device does not tell."""
    try:
        said = ssh.output(f"df -Pk {shlex.quote(folder)} | tail -n 1").decode(errors="replace")
        return free_bytes(said) < _FULL_BYTES
    except TargetError:  # what the copy failed of is what the user is to see
        return False


def _copy(ssh: Ssh, board: Board, source: Path, destination: str) -> None:
    # rsync ends a host at its colon, and takes a login shell's greeting for the other rsync
    if "rsync" in board.tools and shutil.which("rsync") and ":" not in ssh.host and not ssh.noisy:
        with ssh.local(rsync(ssh, source, destination)):
            return
    with ssh.process(f"tar -xmf - -C {shlex.quote(destination)}", stdin=subprocess.PIPE) as child:
        assert child.stdin is not None, "the pipe was asked for"
        with contextlib.suppress(BrokenPipeError), tarfile.open(fileobj=child.stdin, mode="w|") as archive:
            archive.add(source, arcname=".")
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
