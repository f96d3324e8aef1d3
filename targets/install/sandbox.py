"""The rights of a system service: its own user, and the folders that it writes to."""

import grp
import os
import pwd
import subprocess
from collections.abc import Iterable
from pathlib import Path

from segfast_edge.contract.shared.durable import make_folder_durably
from segfast_edge.contract.shared.endings import failure
from segfast_edge.errors import TargetError

USER = "segfast-edge"
_DEVICES = ("video", "render")  # the groups that cameras and GPUs belong to


def marks(folders: Iterable[Path]) -> dict[str, str]:
    """Return what stands for the marks in a unit whose runner writes to ``folders`` besides its own."""
    groups = " ".join(name for name in _DEVICES if _is_group(name))
    return {"@USER@": USER, "@GROUPS@": groups, "@WRITTEN@": " ".join(map(_quoted, dict.fromkeys(folders)))}


def service_user() -> tuple[int, int]:
    """Return the numbers of the service's user and group, which are made if they are not there."""
    try:
        found = pwd.getpwnam(USER)
    except KeyError:
        words = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        command = ["useradd", *words, "--shell", "/usr/sbin/nologin", USER]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise TargetError(f"cannot make the service's user {USER}: {error}") from error
        if done.returncode != 0:
            why = failure("useradd", done.returncode, done.stderr)
            raise TargetError(f"cannot make the service's user {USER}: {why}") from None
        found = pwd.getpwnam(USER)
    return found.pw_uid, found.pw_gid


def make_writable(folder: Path, owner: tuple[int, int]) -> None:
    """Make a folder for the service's user; one that exists and that it may not write is left for people to decide."""
    try:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        make_folder_durably(folder)
        for each in missing:
            os.chown(each, *owner)
        about = folder.stat()
    except OSError as error:
        raise TargetError(f"cannot make {folder}: {error.strerror or error}") from error
    own = (about.st_uid == owner[0], 0o200), (about.st_gid == owner[1], 0o020), (True, 0o002)
    if not any(it_is and about.st_mode & bit for it_is, bit in own):
        raise TargetError(f"the service's user {USER} cannot write {folder}. Run: chown {USER} {folder}")


def _is_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _quoted(folder: Path) -> str:
    """Return a folder as a word of a unit that systemd does not miss if it is not there."""
    text = str(folder).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"-{text}"'
