"""The folders of the releases on a device, and the switch between releases, which happens completely or not at all.

ROOT/releases/NAME/   a bundle's files, complete: a folder gets this name when all is on the disk; see release_check.py
ROOT/current          link to the release that runs; another link is renamed over it, which cannot be half done
ROOT/previous         link to the one before
ROOT/trusted_keys/    public keys whose bundles are taken
ROOT/config.json      what to run on: input, outputs, options; never touched by a bundle
ROOT/service.json     what keeps the runner running, if it was once given; see service_manager.py
ROOT/pending.json     the release on trial, until it has proven itself; see guard.py
ROOT/guard.pyz        run before each start; see guard.py
"""

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segfast_edge.contract.bundle_listing import LISTING, BundleListing
from segfast_edge.contract.shared.durable import (
    link_durably,
    make_folder_durably,
    remove_durably,
    sync_folder,
    sync_tree,
    write_durably,
)
from segfast_edge.errors import SegfastError, TargetError
from targets.install.guard import ASIDE
from targets.install.release_check import COMPLETE, marker

NAME_LENGTH = 16  # of a release's name, from its SHA-256
_NAME = re.compile(rf"[0-9a-f]{{{NAME_LENGTH}}}")
_PART = ".part"


@dataclass(frozen=True, slots=True)
class Release:
    """An installed release."""

    name: str
    title: str
    target: str
    version: str
    current: bool
    previous: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder that everything is in."""

    root: Path

    @property
    def releases(self) -> Path:
        """Where the releases are."""
        return self.root / "releases"

    @property
    def config(self) -> Path:
        """What to run on."""
        return self.root / "config.json"

    @property
    def service(self) -> Path:
        """What keeps the runner running."""
        return self.root / "service.json"

    @property
    def pending(self) -> Path:
        """The release on trial."""
        return self.root / "pending.json"

    @property
    def keys(self) -> Path:
        """Public keys whose bundles are taken."""
        return self.root / "trusted_keys"

    def folder(self, name: str) -> Path:
        """Return a release's folder."""
        return self.releases / name

    def pointed(self, link: str) -> str | None:
        """Return the release that ``current`` or ``previous`` points to, None without a complete one."""
        try:
            target = (self.root / link).readlink()
        except OSError:
            return None
        name = target.name
        return name if _NAME.fullmatch(name) and (self.folder(name) / COMPLETE).is_file() else None

    @property
    def in_use(self) -> set[str | None]:
        """The releases that are not to be removed."""
        return {self.pointed("current"), self.pointed("previous")}

    def point(self, link: str, name: str | None) -> None:
        """Make ``current`` or ``previous`` point to a release, or to none; on the disk when this returns."""
        path = self.root / link
        if name is None:
            remove_durably(path)
        else:
            link_durably(path, f"releases/{name}")

    @contextlib.contextmanager
    def locked(self, limit_s: float = 0.0) -> Iterator[None]:
        """Let no other installer work here at the same time; a killed one leaves no lock behind.

        ``limit_s`` is how long the health check may take, for whoever comes meanwhile.
        """
        try:
            for folder in (self.root, self.releases, self.keys):
                make_folder_durably(folder)
            descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise TargetError(f"cannot write {self.root}: {error.strerror or error}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TargetError(f"another installation is in progress in {self.root}{_holder(descriptor)}") from error
            with contextlib.suppress(OSError):  # a full disk must not keep anyone from going back a release
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()} {time.monotonic():.0f} {limit_s:.0f}".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def new_release(self) -> Iterator[Path]:
        """Give an empty folder for a release; what an earlier attempt left there is removed first, and after."""
        part = self.releases / _PART
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir()
        except OSError as error:
            raise TargetError(f"cannot write {self.releases}: {error.strerror or error}") from error
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def seal(self, part: Path, name: str) -> None:
        """Make a folder the release ``name``, once everything in it is on the disk and then marked as complete.

        A damaged release of that name is repaired file by file: it may be the one that runs, and no moment may come in
        which nothing is there to run.
        """
        sync_tree(part)
        write_durably(part / COMPLETE, marker(part))
        if self.folder(name).is_dir():
            _repair(self.folder(name), part)
        else:
            part.replace(self.folder(name))
        sync_folder(self.releases)

    def names(self) -> list[str]:
        """Return the installed releases' names, the oldest first."""
        if not self.releases.is_dir():
            return []
        found = [path for path in self.releases.iterdir() if _NAME.fullmatch(path.name)]
        return [path.name for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))]

    def installed(self) -> list[Release]:
        """Return every release with what it is."""
        current, previous = self.pointed("current"), self.pointed("previous")
        releases = []
        for name in self.names():
            try:
                complete = (self.folder(name) / COMPLETE).is_file()
                listing = BundleListing.from_bytes((self.folder(name) / LISTING).read_bytes())
                about = (listing.name, listing.target, listing.version) if complete else ("damaged", "", "")
            except (OSError, SegfastError):
                about = "damaged", "", ""
            releases.append(Release(name, *about, current=name == current, previous=name == previous))
        return releases

    def remove(self, name: str) -> None:
        """Remove a release; renamed first, because a folder with a release's name is always complete."""
        doomed = self.releases / _PART
        shutil.rmtree(doomed, ignore_errors=True)
        self.folder(name).replace(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def prune(self, keep: int) -> list[str]:
        """Remove the oldest releases but ``keep``; never the current one nor the previous."""
        names = self.names()
        removed = [name for name in names[: max(0, len(names) - keep)] if name not in self.in_use]
        for name in removed:
            self.remove(name)
        for folder in self.releases.glob(f"{ASIDE}*"):
            shutil.rmtree(folder, ignore_errors=True)
        return removed


def _holder(lock: int) -> str:
    """Return who holds the lock and for how long, as the end of a sentence; "" if that is not told."""
    try:
        pid, began_s, limit_s = map(int, os.pread(lock, 100, 0).split())
    except ValueError:
        return ""
    since_s = max(0, round(time.monotonic()) - began_s)
    return f": process {pid}, for {since_s} s so far. Its health check takes up to {limit_s} s; try again then"


def _repair(release: Path, sound: Path) -> None:
    """Put each file of ``sound`` in the place of the release's own, the mark of completeness last."""
    names = sorted(
        (path.relative_to(sound) for path in sound.rglob("*") if path.is_file()), key=lambda n: n.name == COMPLETE
    )
    for name in names:
        place = release / name
        for parent in reversed(place.relative_to(release).parents):
            if not (release / parent).is_dir():
                (release / parent).unlink(missing_ok=True)
                (release / parent).mkdir()
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        if name.name == COMPLETE:
            sync_tree(release)
        (sound / name).replace(place)
    sync_folder(release)
