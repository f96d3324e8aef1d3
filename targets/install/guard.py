"""Run before every start of the runner: sets a damaged release aside, and ends a trial that goes badly.

The installer watches a new release and rolls it back itself. This is for when the installer cannot do that (the power
went, the connection broke): ``pending.json`` names the release on trial, each start of it is counted here, and after
three starts without proving itself the release before it is put back. The runner removes ``pending.json`` when it has
been healthy for a while. If the release came with another configuration, ``pending.json`` has the one before, which is
restored with it. Whatever the power cut left, a release that is not whole does not run if one that is whole is there.

Packed with what it imports as guard.pyz at the root of the installation, so it uses the standard library only.
"""

import contextlib
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.durable import link_durably, remove_durably, sync_folder, write_durably
from targets.install.release_check import damage

STARTS = 3
STATE = "STATE_DIRECTORY"  # names the folder that systemd lets the runner write to
PROOF = "proven.json"  # there: the release that has been well for a while
ASIDE = ".damaged-"  # before a release's name: kept until the next installation, for whoever wants to know why


def guard(root: Path) -> str:
    """Do what is due before a start; return what was done, "" for nothing."""
    said = [_judge_current(root), _judge_trial(root)]
    return "; ".join(each for each in said if each)


def _judge_trial(root: Path) -> str:
    """Count a start of the release on trial, or put the one before it back."""
    pending = root / "pending.json"
    trial = _trial(root)
    if trial is None:
        return ""
    release, previous = str(trial["release"]), trial["previous"]
    if _proven() == release:
        remove_durably(pending)
        return f"release {release} has proven itself"
    if _current(root) != release:
        _forget(root, trial)
        return ""
    if trial["starts"] < STARTS or previous is None or damage(root / "releases" / str(previous)):
        write_durably(pending, {**trial, "starts": trial["starts"] + 1}, mode=0o600)
        return f"release {release} is on trial, start {trial['starts'] + 1}"
    link_durably(root / "current", f"releases/{previous}")
    _restore(root, trial)
    remove_durably(pending)
    return f"release {release} did not prove itself in {STARTS} starts; back to {previous}"


def _judge_current(root: Path) -> str:
    """Put the newest whole release in the place of a current one that is damaged or gone."""
    current = _current(root)
    trouble = "" if current is None else damage(root / "releases" / current)
    if not (root / "current").is_symlink() or (current is not None and not trouble):
        return ""
    with _unless_installing(root) as free:
        if not free:
            return ""
        other = next((name for name in _others(root, current) if not damage(root / "releases" / name)), None)
        if other is None:
            return f"release {current} is damaged ({trouble}) and no other is whole; install one again"
        link_durably(root / "current", f"releases/{other}")
        _set_aside(root, current)
    return f"release {current} is damaged ({trouble}) and set aside; back to {other}"


def _others(root: Path, current: str | None) -> list[str]:
    """Return the other releases: the previous one, then by age, the newest first."""
    releases = root / "releases"
    names = [path for path in releases.iterdir() if not path.name.startswith(".") and path.name != current]
    names.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    with contextlib.suppress(OSError):
        names.insert(0, releases / (root / "previous").readlink().name)
    return [path.name for path in names if path.name != current]


def _set_aside(root: Path, release: str | None) -> None:
    """Rename a damaged release, and undo what an unfinished installation of it changed."""
    trial = _trial(root)
    if trial is not None and trial["release"] == release:
        _restore(root, trial)
        remove_durably(root / "pending.json")
    if release is not None:
        aside = root / "releases" / f"{ASIDE}{release}"
        shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            (root / "releases" / release).replace(aside)
        sync_folder(root / "releases")


def _current(root: Path) -> str | None:
    try:
        return (root / "current").readlink().name
    except OSError:
        return None


def _trial(root: Path) -> dict[str, Any] | None:
    try:
        trial = json.loads((root / "pending.json").read_text(encoding="utf-8"))
        return {**trial, "release": trial["release"], "previous": trial["previous"], "starts": int(trial["starts"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _proven() -> str | None:
    try:
        return str(json.loads((Path(os.environ[STATE]) / PROOF).read_text(encoding="utf-8"))["release"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


@contextlib.contextmanager
def _unless_installing(root: Path) -> Iterator[bool]:
    """Hold the installation's lock if it is free; an installer that is at work holds it."""
    lock = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(lock)


def _forget(root: Path, trial: dict[str, Any]) -> None:
    """Undo what an installer left that did not come to its switch."""
    with _unless_installing(root) as free:
        if free:
            _restore(root, trial)
            remove_durably(root / "pending.json")


def _restore(root: Path, trial: dict[str, Any]) -> None:
    """Put the configuration from before the trial back, if there was another; {} stands for none at all."""
    if trial.get("config") == {}:
        remove_durably(root / "config.json")
    elif isinstance(trial.get("config"), dict):
        write_durably(root / "config.json", trial["config"], mode=0o600)


def main() -> None:
    """Guard the installation that this file lies in; the runner starts whatever comes of it."""
    try:
        done = guard(Path(sys.argv[0]).resolve().parent)
    except OSError as error:  # a full disk, for one
        done = f"cannot do its work: {error}"
    if done:
        print(f"segfast guard: {done}", file=sys.stderr)


if __name__ == "__main__":
    main()
