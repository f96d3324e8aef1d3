"""An installation from the first step to the last, and the way back."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.durable import remove_durably, replace_durably, write_durably
from segfast_edge.contract.shared.endings import failure
from segfast_edge.errors import ArtifactError, SegfastError, TargetError
from targets.install.guard_file import GUARD, packed
from targets.install.health import Patience, watch
from targets.install.kill_points import passed
from targets.install.layout import NAME_LENGTH, Layout
from targets.install.release_check import damage
from targets.install.service_manager import ServiceManager
from targets.install.trial import configuration, open_trial, restore
from targets.install.trust import Trust
from targets.install.unpack import Opened, inspect, unpack

_SELF_TEST_S = 600  # an emulated board takes minutes for one frame


@dataclass(frozen=True, slots=True)
class Installer:
    """Installs into ``layout`` with the interpreter ``python``; ``announce`` receives each step as text for people."""

    layout: Layout
    service: ServiceManager
    python: str
    announce: Callable[[str], None]
    patience: Patience = Patience()  # noqa: RUF009 - frozen, so sharing it is safe
    keep_service: bool = False  # the kind of service was said, and holds for later releases

    def install(self, bundle: Path, trust: Trust, *, config: dict[str, Any] | None = None, keep: int = 3) -> str:
        """Install a bundle, switch to it, and return its release's name.

        Nothing that runs is touched before the new release has passed its self-test. If it is not healthy after the
        switch, the release before it runs again when this raises.

        Raises:
            ArtifactError: the bundle is not trusted or not whole, or fails its self-test.
            TargetError: the device lacks something, or the release was not healthy and was rolled back.
        """
        with self.layout.locked(self.patience.limit_s):
            passed("begun")
            name = self._bring(bundle, trust)
            passed("sealed")
            self._keep(trust)
            passed("kept")
            self._activate(name, config)
            self.layout.prune(keep)
            passed("pruned")
        return name

    def dry_run(self, bundle: Path, trust: Trust) -> Opened:
        """Do everything that changes nothing: verify the bundle to its last byte, and see that there is room."""
        opened = inspect(bundle, trust)
        where = next(folder for folder in (self.layout.root, *self.layout.root.parents) if folder.is_dir())
        free = shutil.disk_usage(where).free
        if free < opened.size:
            raise TargetError(f"{where} has {free // 1_000_000} MB free; the bundle needs {opened.size // 1_000_000}")
        if not os.access(where, os.W_OK):
            raise TargetError(f"{where} is not writable; run this as root, or choose another --root")
        return opened

    def rollback(self) -> str:
        """Switch back to the previous release and return its name.

        Raises:
            TargetError: there is none, or it was not healthy either.
        """
        with self.layout.locked(self.patience.limit_s):
            current, previous = self.layout.pointed("current"), self.layout.pointed("previous")
            if previous is None or previous == current:
                raise TargetError(f"there is no previous release in {self.layout.root} to go back to")
            trial = open_trial(self.layout, current, self.service.proof)
            if trial is not None:
                restore(self.layout, trial["config"])
            self.layout.point("current", previous)
            self.layout.point("previous", current)
            remove_durably(self.layout.pending)
            self.announce(f"back to release {previous}")
            self.service.prepare(configuration(self.layout))
            self.service.set_up()
            trouble = self._restarted(previous)
            if trouble:
                raise TargetError(f"release {previous} runs again, but {trouble}")
            return previous

    def _bring(self, bundle: Path, trust: Trust) -> str:
        self.announce(f"verifying {bundle.name}")
        with self.layout.new_release() as part:
            opened = unpack(bundle, trust, part)
            passed("unpacked")
            name = opened.release[:NAME_LENGTH]
            self.announce(f"release {name}: {_signed(opened)}, {len(opened.listing.files)} files")
            trouble = damage(self.layout.folder(name)) if self.layout.folder(name).is_dir() else "not there"
            if not trouble:
                self.announce("it is already installed")
                self._test_installed(name)
            else:
                self._self_test(part, name)  # which also leaves Python's bytecode there
                passed("tested")
                self.layout.seal(part, name)
        return name

    def _test_installed(self, name: str) -> None:
        try:
            self._self_test(self.layout.folder(name), name)
        except ArtifactError:
            if name not in self.layout.in_use:
                self.layout.remove(name)
            raise
        passed("tested")

    def _self_test(self, folder: Path, name: str) -> None:
        self.announce("self-test: the golden frame on this device")
        run = folder / "run.py"
        try:
            done = subprocess.run(
                [self.python, str(run), "--self-test"],
                capture_output=True,
                text=True,
                timeout=_SELF_TEST_S,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ArtifactError(f"release {name} fails its self-test: {error}") from error
        if done.returncode != 0:
            why = failure("its self-test", done.returncode, done.stderr, prefix="segfast: ")
            raise ArtifactError(f"release {name} is not activated: {why}")
        self.announce(done.stdout.strip().rpartition("\n")[2])

    def _keep(self, trust: Trust) -> None:
        for key in trust.keys:
            path = self.layout.keys / f"{key.hex()[:NAME_LENGTH]}.json"
            if not path.exists():
                write_durably(path, {"algorithm": "ed25519", "key": key.hex()})

    def _activate(self, name: str, config: dict[str, Any] | None) -> None:
        before, older = self.layout.pointed("current"), self.layout.pointed("previous")
        fallback = before if before != name else older  # installed again, it may still be on trial from the first time
        trial = open_trial(self.layout, before, self.service.proof)
        found = None if config is None else configuration(self.layout)
        config_before = found
        if trial is not None and before == name and trial["config"] is not None:
            config_before = trial["config"]  # what is there now came with the release that is on trial
        self.service.prepare(configuration(self.layout) if config is None else config)
        try:
            self._mark({"release": name, "previous": fallback, "starts": 0, "config": config_before})
            self._switch(name, before, config)
            trouble = ""
        except OSError as error:
            if before == name or self.layout.pointed("current") != name:
                self._undo(found, older, keep_trial=trial is not None)
                raise
            trouble = str(error)
        trouble = trouble or self._started(name)
        if trouble:
            self._take_back(name, fallback, older, config_before, trouble)
        passed("healthy")
        remove_durably(self.layout.pending)
        if self.keep_service:
            write_durably(self.layout.service, {"kind": self.service.name})
        passed("confirmed")

    def _mark(self, trial: dict[str, Any]) -> None:
        replace_durably(self.layout.root / GUARD, packed())
        if self.service.proof is not None:
            remove_durably(self.service.proof)  # of an earlier time, perhaps on another configuration
        if self.service.status_file is not None:
            write_durably(self.layout.pending, trial, mode=0o600)
        else:
            remove_durably(self.layout.pending)  # nobody would count its starts
        passed("marked")

    def _switch(self, name: str, before: str | None, config: dict[str, Any] | None) -> None:
        if config is not None:
            write_durably(self.layout.config, config, mode=0o600, owner=self.service.owner)
        passed("configured")
        if before is not None and before != name:
            self.layout.point("previous", before)
        passed("previous")
        self.layout.point("current", name)
        self.announce(f"switched to release {name}")
        passed("switched")

    def _undo(self, config: dict[str, Any] | None, previous: str | None, *, keep_trial: bool) -> None:
        """Undo what came before a switch that failed; if that fails, the guard or the next installation does it."""
        with contextlib.suppress(OSError):
            restore(self.layout, config)
            if not keep_trial:
                remove_durably(self.layout.pending)
            self.layout.point("previous", previous)

    def _started(self, name: str) -> str:
        """Have the service run the release and return what is wrong with it, "" for nothing."""
        try:
            self.service.set_up()
            passed("service")
            return self._restarted(name)
        except (SegfastError, OSError) as error:  # a full disk, for one
            return str(error)

    def _restarted(self, name: str) -> str:
        """Restart the service and return what is wrong with the release, "" for nothing."""
        if self.service.status_file is None:
            self.announce("not started: no service here. Start current/run.py yourself, or pass --service process")
            passed("restarted")
            return ""
        if not self.layout.config.is_file():
            self.service.stop()
            self.announce(f"not started: {self.layout.config} names no input. Pass --input once")
            passed("restarted")
            return ""
        self.service.restart()
        passed("restarted")
        self.announce("watching its health")
        trouble = watch(self.service.status_file, name, self.patience, lambda: self.service.over)
        ending = self.service.ending() if trouble else ""
        return f"{trouble}; {ending}" if ending else trouble

    def _take_back(
        self, name: str, before: str | None, older: str | None, config: dict[str, Any] | None, trouble: str
    ) -> None:
        """Put the release before and its configuration back, and raise."""
        try:
            restore(self.layout, config)
            restored = True
        except OSError as error:  # the disk is full: the release is what matters most
            trouble += f", and the configuration before it could not be put back: {error}"
            restored = False
        self.layout.point("current", before)
        if restored:  # else the guard or the next installation finds it there
            remove_durably(self.layout.pending)
        with contextlib.suppress(OSError):
            self.layout.point("previous", older)
        if before is None:
            self.service.stop()
            raise TargetError(
                f"release {name} is not healthy: {trouble}. There is no previous release, so nothing runs"
            )
        self.announce(f"rolling back: {trouble}")
        worse = self._started(before)
        after = f"{before} does not run well either: {worse}" if worse else f"release {before} runs again"
        if not self.layout.config.is_file():
            after = f"release {before} had no configuration, so nothing runs now"
        raise TargetError(f"release {name} was rolled back, {trouble}; {after}")


def _signed(opened: Opened) -> str:
    return "unsigned" if opened.signed_by is None else f"signed by {opened.signed_by[:NAME_LENGTH]}"


def stored_keys(layout: Layout) -> tuple[bytes, ...]:
    """Return the keys that this installation trusts from earlier times."""
    keys = []
    for path in sorted(layout.keys.glob("*.json")):
        try:
            keys.append(bytes.fromhex(json.loads(path.read_text(encoding="utf-8"))["key"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TargetError(f"{path} is not a valid key: {error}. Remove it and pass --trust again") from error
    return tuple(keys)
