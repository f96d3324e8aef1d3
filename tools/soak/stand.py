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

from segfast_edge.bundle import device_code
from targets.runner.shared_mask import MaskReader, remove
from targets.runner.sources._drawing import draw_road, jpeg

SIZES = ((360, 640), (720, 1280), (240, 320))
PHASES = 12


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
    memory: list[tuple[float, int]] = field(default_factory=list)  # seconds, resident bytes
    states: set[str] = field(default_factory=set)


class Stand:
    """Starts the runner on the camera and watches it; ``end`` asks it to end and returns its last status."""

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
        self._shm = f"segfast-soak-{os.getpid()}"
        self._stopped = threading.Event()
        self.child = self._start(engine)
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._read, self._look)]
        for thread in self._threads:
            thread.start()

    def _start(self, engine: str) -> "subprocess.Popen[bytes]":
        code = device_code(self.home / "code")
        for name, place in (("engine", "engines/soak.py"), ("target", "soak.py")):
            (code / "targets" / place).write_text((Path(__file__).parent / f"device/{name}.py").read_text())
        outputs = ["jsonl:-", f"jsonl:{self.home}/lines.jsonl", f"masks:{self.home}/masks,keep=20"]
        outputs += [f"shm:{self._shm}", "web:0"]
        limits = ["--stuck-s", "2", "--stall-s", "1", "--deadline-ms", "300", "--status-file", str(self.status_file)]
        return subprocess.Popen(
            [sys.executable, "-m", "targets", "soak", "stream", str(self.artifact), self.camera.url, *outputs, *limits],
            cwd=code,
            env={**os.environ, "SEGFAST_SOAK_ENGINE": engine, "SEGFAST_SOAK_FAULT": str(self.fault)},
            stdout=subprocess.PIPE,
            stderr=(self.home / "log").open("wb"),
        )

    @property
    def port(self) -> int:
        """The page's port, from the runner's log."""
        text = (self.home / "log").read_text()
        return int(text.partition("live page at http://127.0.0.1:")[2].partition("/")[0])

    def _read(self) -> None:
        assert self.child.stdout is not None
        number = captured = 0
        for text in self.child.stdout:
            line = json.loads(text)  # a line that is not whole ends the soak here, with its traceback
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
        reader = MaskReader(self._shm)
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
            self.seen.memory.append((time.monotonic() - self.started_s, status["resident_bytes"]))
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

    def end(self) -> tuple[int, dict[str, Any]]:
        """Ask the runner to end; return its exit status and its last own account."""
        self.child.send_signal(signal.SIGTERM)
        status = self.child.wait(30)
        self._stopped.set()
        for thread in self._threads:
            thread.join(10)
        self.camera.unplug()
        last = self.status()
        assert last is not None
        remove(self._shm)
        return status, last

    def log(self) -> str:
        """Return what the runner said."""
        return (self.home / "log").read_text()

    def close(self) -> None:
        """End what still runs and remove everything."""
        self.child.kill()
        self.child.wait()
        if self.child.stdout is not None:
            self.child.stdout.close()
        self.camera.unplug()
        self._home.cleanup()
