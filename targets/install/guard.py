"""Run before every start of the runner: takes back a release on trial that has been started too often.

The installer watches a new release and takes it back itself. This is for when the installer is not there to do that
(the power went, the connection broke): ``pending.json`` names the release on trial, each start of it is counted here,
and after three starts without proving itself the release before it is put back. The runner removes ``pending.json``
when it has been well for a while. Where the release came with another configuration, ``pending.json`` has the one
before, which goes back with it. Copied to the root of the installation, so it imports only the standard library.
"""

import fcntl
import json
import os
import sys
from pathlib import Path

STARTS = 3


def guard(root: Path) -> str:
    """Count a start of the release on trial, or take it back; return what was done, "" for nothing."""
    pending = root / "pending.json"
    try:
        trial = json.loads(pending.read_text(encoding="utf-8"))
        release, previous, starts = str(trial["release"]), trial["previous"], int(trial["starts"])
        current = (root / "current").readlink().name
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if current != release:
        _forget(root, pending, trial)
        return ""
    if starts < STARTS or previous is None or not (root / "releases" / str(previous) / "run.py").is_file():
        _write(pending, json.dumps({**trial, "starts": starts + 1}))
        return f"release {release} is on trial, start {starts + 1}"
    link = root / ".current.guard"
    link.unlink(missing_ok=True)
    link.symlink_to(f"releases/{previous}")
    link.replace(root / "current")
    _restore(root, trial)
    pending.unlink(missing_ok=True)
    _sync(root)
    return f"release {release} did not prove itself in {STARTS} starts; back to {previous}"


def _forget(root: Path, pending: Path, trial: "dict[str, object]") -> None:
    """Undo what an installer left that did not come to its switch; one that is still at work holds the lock."""
    lock = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _restore(root, trial)
        pending.unlink(missing_ok=True)
    except BlockingIOError:
        return
    finally:
        os.close(lock)


def _restore(root: Path, trial: "dict[str, object]") -> None:
    """Put the configuration from before the trial back, where there was another; {} stands for none at all."""
    if trial.get("config") == {}:
        (root / "config.json").unlink(missing_ok=True)
    elif isinstance(trial.get("config"), dict):
        _write(root / "config.json", json.dumps(trial["config"], indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.guard")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    try:
        done = guard(Path(__file__).resolve().parent)
    except OSError as error:  # a full disk: the runner starts all the same
        done = f"cannot do its work: {error}"
    if done:
        print(f"segfast guard: {done}", file=sys.stderr)
