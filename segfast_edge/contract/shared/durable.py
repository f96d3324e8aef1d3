"""Writing that a power cut cannot take back: the file forced to the disk, renamed, then its folder forced. Stdlib only.

A rename without the first leaves a file that may be empty after a power cut, one without the last may be undone.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Any


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """Force a file's content to the disk."""
    _sync(path, os.O_RDONLY | os.O_NOFOLLOW)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Force everything in a folder to the disk: every file, every folder below it, and its own entries."""
    for name, _, files in os.walk(folder):
        for file in files:
            sync_file(Path(name, file))
        sync_folder(Path(name))


def replace_durably(path: Path, content: bytes, *, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
    """Write a file whole or not at all; it is on the disk when this returns.

    It belongs to ``owner``, a user and a group, or to whom it belonged before.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)  # what a power cut left may have another mode
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        if owner is not None:
            os.fchown(descriptor, *owner)
        else:
            with contextlib.suppress(FileNotFoundError, PermissionError):
                before = path.stat()
                os.fchown(descriptor, before.st_uid, before.st_gid)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def write_durably(path: Path, value: Any, *, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
    """Write JSON as ``replace_durably`` does."""
    replace_durably(path, (json.dumps(value, indent=2) + "\n").encode(), mode=mode, owner=owner)


def link_durably(path: Path, target: str) -> None:
    """Make ``path`` a symbolic link to ``target`` in one step, whatever it was before."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)
    sync_folder(path.parent)


def remove_durably(path: Path) -> None:
    """Remove a file, which may be gone already; it does not come back after a power cut."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync_folder(path.parent)


def make_folder_durably(folder: Path) -> None:
    """Make a folder and those above it that are missing."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)
