"""Writing that leaves the old file or the new one, never half of one."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.digest import new_sha256
from segfast_edge.contract.shared.durable import sync_file, sync_folder
from segfast_edge.errors import ArtifactError


def sha256(path: Path) -> str:
    """Return the file's SHA-256 as hexadecimal."""
    digest = new_sha256(path.stat().st_size)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):  # hashlib.file_digest needs Python 3.11; JetPack 6 has 3.10
            digest.update(block)
    return digest.hexdigest()


def user_cache_folder() -> Path | None:
    """Return where this user's results are kept: ``SEGFAST_CACHE``, else the usual cache; None for a user without."""
    named = os.environ.get("SEGFAST_CACHE")
    if named:
        return Path(named)
    usual = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(usual) if usual else Path.home() / ".cache") / "segfast-edge"
    except RuntimeError:  # a service's user may have no home
        return None


@contextlib.contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; on a clean exit it is flushed to disk and takes its place.

    Raises:
        ArtifactError: the folder is not writable or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise ArtifactError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # where nothing can be written, there may be nothing to remove either
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give an empty temporary folder beside ``folder``; on a clean exit it takes its place.

    Raises:
        ArtifactError: ``folder`` holds something and ``overwrite`` is off, or the place is not writable.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        if not overwrite:
            raise ArtifactError(f"{folder} exists already. Choose another output folder, or pass --overwrite")
        if not folder.is_dir():
            raise ArtifactError(f"{folder} is a file; an output folder is needed")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    except OSError as error:
        raise ArtifactError(f"cannot write {folder}: {error.strerror or error}") from error
    try:
        yield temporary
        temporary.chmod(0o755)
        _swap(temporary, folder)
    except OSError as error:
        raise ArtifactError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(new: Path, folder: Path) -> None:
    """Put ``new`` where ``folder`` is; a folder cannot be replaced in one step, so the old one steps aside."""
    old = new.with_suffix(".old")
    if folder.exists():
        folder.replace(old)
    try:
        new.replace(folder)
    except OSError:
        if old.exists():
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_writable(path: Path) -> None:
    """Find out before long work that ``path`` cannot be written after it.

    Raises:
        ArtifactError: its folder is not writable, or ``path`` is a folder.
    """
    if path.is_dir():
        raise ArtifactError(f"cannot write {path}: it is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ArtifactError(f"cannot write {path}: {error.strerror or error}") from error


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON, whole or not at all; NaN and infinity are refused because JSON has neither."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ArtifactError: missing, unreadable, or not a JSON object; the message calls it ``what``.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{what} {path} does not exist") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{what} {path} is not readable: {error}") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{what} {path} holds a {type(value).__name__}; expected a JSON object")
    return value
