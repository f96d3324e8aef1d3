"""Artifacts and frames for the runner's tests: the null engine's labels can be worked out by hand."""

import contextlib
import io
import logging
import queue
import sys
import threading
import time
from pathlib import Path

import numpy as np
import tiny_artifacts as tiny
from PIL import Image

from segfast_edge.contract.formats import format_named
from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS
from segfast_edge.contract.masks import mask_at
from segfast_edge.contract.shared.images import write_picture
from targets.common.session import Options
from targets.common.target import target
from targets.runner.frames import Notice, Pixels, Result
from targets.runner.inputs import Grab
from targets.runner.main_loop import Service
from targets.runner.model import Model, ModelChoice, open_model
from targets.runner.pipeline import Pipeline, PipelineSettings
from targets.runner.telemetry import Telemetry

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools/soak"))  # for ``camera``


def null_labels(frame: np.ndarray) -> np.ndarray:
    """Return what the null engine answers for a frame of the network's size."""
    return (frame.sum(axis=2, dtype=np.uint16) % tiny.CLASSES).astype(np.uint8)


def proven_artifact(folder: Path, *, wrong: bool = False) -> Path:
    """Write an artifact for the null engine with its golden frame; ``wrong`` labels are those of another model."""
    (folder / "golden").mkdir(parents=True)
    (folder / format_named("tflite").model_file).write_bytes(b"nothing reads this")
    golden = tiny.frame(tiny.HEIGHT, tiny.WIDTH)
    labels = null_labels(golden)
    write_picture(folder / GOLDEN_FRAME, golden)
    write_picture(folder / GOLDEN_LABELS, (labels + 1) % tiny.CLASSES if wrong else labels)
    tiny.manifest("tflite").save(folder)
    return folder


def null_model(folder: Path) -> Model:
    """Return an open model of the null engine."""
    return open_model(ModelChoice(target("null"), proven_artifact(folder), Options()))


def jpeg(frame: np.ndarray, quality: int = 90) -> bytes:
    """Return a frame as JPEG."""
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def pictures(folder: Path, count: int = 6) -> Path:
    """Write ``count`` PNG frames."""
    folder.mkdir(parents=True)
    for index in range(count):
        write_picture(folder / f"{index:03d}.png", tiny.frame(40, 60, seed=index))
    return folder


def wait_for(condition, seconds: float = 60.0):
    """Return the first true value of ``condition``, or fail after ``seconds``."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"nothing after {seconds} s")


class Kept:
    """An output that keeps what it is given; ``hold`` makes it slow and ``error`` makes it fail."""

    wants_frame = True

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.notices: list[Notice] = []
        self.closed = False
        self.hold = 0.0
        self.error: Exception | None = None

    def write(self, result: Result) -> None:
        time.sleep(self.hold)
        if self.error is not None:
            raise self.error
        self.results.append(result)

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def close(self) -> None:
        self.closed = True


class Script:
    """A live source that gives what a test puts into it."""

    live = True
    camera = False

    def __init__(self) -> None:
        self.queue: queue.Queue = queue.Queue()
        self.connects = 0

    def give(self, *items) -> None:
        """Queue frames (arrays or payloads), or exceptions to raise."""
        for item in items:
            self.queue.put(item)

    def connect(self) -> None:
        self.connects += 1

    def read(self, wait_s: float) -> Grab | None:
        try:
            item = self.queue.get(timeout=min(wait_s, 0.05))
        except queue.Empty:
            return None
        if isinstance(item, Exception):
            raise item
        return Grab("frame", Pixels(item) if isinstance(item, np.ndarray) else item)

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass


@contextlib.contextmanager
def serving(source, model: Model, *outputs, **settings):
    """Run a service in a thread; on leaving, stop it and check that no frame is unaccounted for."""
    named = {str(index): each for index, each in enumerate(outputs)}
    pipeline = Pipeline(source, model, named, settings=PipelineSettings(**settings), telemetry=Telemetry())
    service = Service(pipeline, model)
    done: list = []
    thread = threading.Thread(target=lambda: done.append(_ended(service)), daemon=True)
    thread.start()
    yield service, pipeline
    service.stop()
    thread.join(240)
    assert done, "the service did not end"
    if isinstance(done[0], Exception):
        raise done[0]
    assert done[0].balanced
    assert done[0].in_flight == 0
    for lane in pipeline.lanes:
        assert lane.ledger.tally().balanced
        assert lane.ledger.tally().in_flight == 0


def _ended(service: Service):
    try:
        return service.run()
    except Exception as error:
        logging.getLogger("tests").info("the service ended with", exc_info=error)
        return error


def result(number: int = 1, size: tuple[int, int] = (40, 60), **changes) -> Result:
    """Return a result that looks real: a smooth frame, the null engine's labels, times that add up."""
    pixels = tiny.frame(*size, seed=number)
    labels = null_labels(tiny.frame(tiny.HEIGHT, tiny.WIDTH, seed=number))
    fields = {
        "number": number,
        "name": f"{number:06d}",
        "captured_ns": 1_000_000_000 * number,
        "finished_ns": 1_000_000_000 * number + 20_000_000,
        "picture": Image.fromarray(pixels),
        "labels": labels,
        "mask": mask_at(labels, size),
        "classes": tiny.manifest("tflite").classes,
        "timings_ms": {"decode": 1.0, "preprocess": 2.0, "inference": 3.0, "postprocess": 4.0},
        "deadline_ms": 200.0,
    }
    return Result(**{**fields, **changes})
