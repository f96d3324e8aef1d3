"""The test stand: a camera, the runner as a process of its own, and everything that is seen of it from outside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from camera import Camera
from date import MovableDate

from segfast_edge.device.code import device_code
from targets.runner.inputs._drawing import draw_road, jpeg
from targets.runner.shared_mask import MaskReader, remove

RECOVERY_S = 15.0  # from the end of a fault to the next result; the longest pause of any back-off is 5
SIZES = ((360, 640), (720, 1280), (240, 320))
PHASES = 12
_PLACES = {  # the device code's own places of what the soak adds to it
    "descriptor": "segfast_edge/contract/engines/soak.py",
    "engine": "targets/engines/soak.py",
    "target": "targets/soak.py",
}
PATIENCE_S = 60.0  # for the runner to end, or to refuse to start, on a machine that is busy


def frames(size: tuple[int, int]) -> list[bytes]:
    """Return a drawn road in motion as JPEG."""
    return [jpeg(draw_road(size, phase / PHASES)) for phase in range(PHASES)]


@dataclass
class Seen:
    """What was seen from outside."""

    lines: int = 0
    notices: int = 0
    backwards: int = 0  # frame numbers or capture times that did not grow
    torn: int = 0  # shared masks that were not whole
    shared: int = 0
    ages_ms: list[float] = field(default_factory=list)
    last_running_s: float = 0.0
    unbalanced: list[dict[str, Any]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    states: set[str] = field(default_factory=set)


@dataclass
class Life:
    """One process of the runner, from its start to its end."""

    memory: list[tuple[float, int]] = field(default_factory=list)  # seconds, resident bytes
    exit_status: int | None = None
    last: dict[str, Any] = field(default_factory=dict)  # its own last account


class Stand:
    """Starts the runner on the camera and watches it; ``end`` asks it to end, ``begin`` starts another."""

    def __init__(self, artifact: Path, engine: str, fps: float) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="segfast-soak-")
        self.home = Path(self._home.name)
        self.videos = {size: frames(size) for size in SIZES}
        self.camera = Camera(self.videos[SIZES[0]], fps)
        self.artifact = artifact
        self.fault = self.home / "fault"
        self.status_file = self.home / "status.json"
        self.seen = Seen()
        self.started_s = time.monotonic()
        self.shm = f"segfast-soak-{os.getpid()}"
        self._stopped = threading.Event()
        self._hanging_up = False
        self.date = MovableDate(self.home)
        self.lives: list[Life] = []
        self.refusals: list[int] = []  # exit statuses of a runner whose model was damaged before it started
        self._code = device_code(self.home / "code")
        for name, place in _PLACES.items():
            (self._code / place).write_text((Path(__file__).parent / f"device/{name}.py").read_text())
        self._environment = {
            "SEGFAST_SOAK_ENGINE": engine,
            "SEGFAST_SOAK_FAULT": str(self.fault),
            **self.date.environment,
        }
        self.begin()
        self._watcher = threading.Thread(target=self._look, daemon=True)
        self._watcher.start()

    def begin(self) -> None:
        """Start the runner and read what it says."""
        self.lives.append(Life())
        self.child = self._start()
        self._listener = threading.Thread(target=self._read, args=(self.child,), daemon=True)
        self._listener.start()

    def _start(self) -> "subprocess.Popen[bytes]":
        outputs = ["jsonl:-", f"jsonl:{self.home}/lines.jsonl", f"masks:{self.home}/masks,keep=20"]
        outputs += [f"shm:{self.shm}", "web:0"]
        limits = ["--stuck-s", "2", "--stall-s", "1", "--deadline-ms", "300", "--status-file", str(self.status_file)]
        limits += ["--threads", "1"]
        return subprocess.Popen(
            [sys.executable, "-m", "targets", "soak", "stream", str(self.artifact), self.camera.url, *outputs, *limits],
            cwd=self._code,
            env={**os.environ, **self._environment},
            stdout=subprocess.PIPE,
            stderr=(self.home / "log").open("ab"),
        )

    @property
    def port(self) -> int:
        """The page's port, from the runner's log."""
        return int(self.log().rpartition("live page at http://127.0.0.1:")[2].partition("/")[0])

    def _read(self, child: "subprocess.Popen[bytes]") -> None:
        try:
            self._follow(child)
        except Exception as error:  # noqa: BLE001 - a line that is not whole, for one
            self.seen.troubles.append(f"reading failed: {type(error).__name__}: {error}")

    def _follow(self, child: "subprocess.Popen[bytes]") -> None:
        assert child.stdout is not None
        number = captured = 0
        for text in child.stdout:
            if self._hanging_up:
                break
            line = json.loads(text)
            self.seen.states.add(line["state"])
            if line["frame"] is None:
                self.seen.notices += 1
                continue
            self.seen.lines += 1
            self.seen.backwards += line["frame"] <= number or line["captured_ns"] < captured
            number, captured = line["frame"], line["captured_ns"]
            self.seen.ages_ms.append(line["age_ms"])
            self.seen.last_running_s = time.monotonic()

    def _look(self) -> None:
        try:
            self._compare()
        except Exception as error:  # noqa: BLE001 - a thread that dies unnoticed would let the soak pass
            self.seen.troubles.append(f"watching failed: {type(error).__name__}: {error}")

    def _compare(self) -> None:
        reader = MaskReader(self.shm)
        while not self._stopped.wait(0.2):
            with contextlib.suppress(Exception) if self.seen.shared == 0 else contextlib.nullcontext():
                mask = reader.read()
                self.seen.shared += 1
                self.seen.torn += mask.mask is not None and mask.mask.size == 0
            status = self.status()
            if status is None:
                continue
            for what, tally in (("frames", status["frames"]), *status["outputs"].items()):
                if tally["in"] != tally["out"] + tally["corrupt"] + sum(tally["dropped"].values()) + tally["in_flight"]:
                    self.seen.unbalanced.append({"of": what, **tally})
            self.lives[-1].memory.append((time.monotonic() - self.started_s, status["resident_bytes"]))
        reader.close()

    def status(self) -> dict[str, Any] | None:
        """Return the runner's status file, None before there is one."""
        try:
            return dict(json.loads(self.status_file.read_text()))
        except FileNotFoundError:
            return None

    def running_since(self, moment_s: float, patience_s: float) -> float | None:
        """Return how long after ``moment_s`` a result came, or None where none came in ``patience_s`` seconds."""
        while time.monotonic() < moment_s + patience_s:
            if self.seen.last_running_s > moment_s:
                return self.seen.last_running_s - moment_s
            if self.child.poll() is not None:
                return None
            time.sleep(0.02)
        return None

    def end(self) -> None:
        """Ask the runner to end, and keep its exit status and its last own account."""
        life = self.lives[-1]
        self.child.send_signal(signal.SIGTERM)
        life.exit_status = self.child.wait(PATIENCE_S)
        self._listener.join(PATIENCE_S)
        if self.child.stdout is not None:
            self.child.stdout.close()
        life.last = self.status() or {}
        self.status_file.unlink(missing_ok=True)

    def hang_up(self) -> None:
        """Close the reading end of the runner's standard output."""
        self._hanging_up = True  # at the next line; a file that another thread reads cannot be closed
        self._listener.join(PATIENCE_S)
        self._hanging_up = False
        assert self.child.stdout is not None
        self.child.stdout.close()

    def goes_on(self, name: str, patience_s: float) -> bool:
        """Say whether the output called ``name`` takes another result."""
        before = self._taken(name)
        until = time.monotonic() + patience_s
        while time.monotonic() < until and self._taken(name) <= before:
            time.sleep(0.1)
        return self._taken(name) > before

    def _taken(self, name: str) -> int:
        status = self.status()
        return 0 if status is None else int(status["outputs"][name]["out"])

    def refusal(self) -> int:
        """Start a runner that is to refuse, and return its exit status."""
        with self._start() as child:
            try:
                return child.wait(PATIENCE_S)
            finally:
                child.kill()

    def log(self) -> str:
        """Return what the runner said."""
        return (self.home / "log").read_text()

    def close(self) -> None:
        """End what still runs and remove everything."""
        self.child.kill()
        self.child.wait()
        self._stopped.set()
        for thread in (self._listener, self._watcher):
            thread.join(10)
        if self.child.stdout is not None:
            self.child.stdout.close()
        self.camera.unplug()
        remove(self.shm)
        self._home.cleanup()
