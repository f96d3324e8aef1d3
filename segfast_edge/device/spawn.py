"""The device code as a fresh process on this machine: copied, started, and read line by line."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.contract.engines import engine_named
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.shared.endings import failure
from segfast_edge.contract.shared.images import Frame, write_picture
from segfast_edge.contract.shared.stopping import end_child
from segfast_edge.device.code import device_code, target_names
from segfast_edge.errors import TargetError, unknown

_AHEAD = 4  # frames written before the first answer is awaited, so that the child never waits for us
_PATIENCE_S = 10.0  # to end after it is asked to stop
_ENDING_S = 120.0  # to end by itself after its input is closed: on a busy machine torch takes long to be put away


@contextlib.contextmanager
def process(target: str, words: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    """Start ``python -m targets TARGET WORDS...`` on a copy of the device code; killed if the block is left early.

    Raises:
        TargetError: no such target, or the process failed; the message is the line that it wrote.
    """
    if target not in target_names():
        raise TargetError(unknown("target", target, target_names()))
    with tempfile.TemporaryDirectory(prefix="segfast-device-") as folder, tempfile.TemporaryFile("w+") as errors:
        code = device_code(Path(folder))
        child = subprocess.Popen(
            [sys.executable, "-m", "targets", target, *words],
            cwd=code,
            env={**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield child
            with contextlib.suppress(BrokenPipeError):
                _pipe(child.stdin).close()
            _wait(child, _ENDING_S)
        except (BrokenPipeError, EOFError):
            _wait(child, _PATIENCE_S)  # it ended before its time; its exit status and last line say why
        finally:
            end_child(child, _PATIENCE_S)
        if child.returncode != 0:
            raise _failure(child.returncode, errors)


def _pipe(stream: Any) -> Any:
    assert stream is not None, "every pipe was asked for"
    return stream


def _wait(child: "subprocess.Popen[str]", patience_s: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(patience_s)


def _failure(status: int, errors: Any) -> TargetError:
    errors.seek(0)
    expected = TargetError.exit_code
    return TargetError(failure("the device process", status, errors.read(), prefix="targets: ", expected=expected))


class Outputs(Iterator[npt.NDArray[Any]]):
    """Raw outputs in the frames' order; ``session`` says what ran, once the last one has been taken.

    ``session`` has ``engine``, ``executed_precision``, ``versions`` and ``torch_imported``.
    """

    def __init__(self, artifact: Path, frames: Iterable[tuple[str, Frame]], words: Sequence[str], target: str) -> None:
        self.session: Mapping[str, Any] = {}
        self._results = self._run(artifact, frames, words, target)

    def __next__(self) -> npt.NDArray[Any]:
        return next(self._results)

    def close(self) -> None:
        """Stop the process; nothing to do once the outputs are exhausted."""
        self._results.close()

    def _run(
        self, artifact: Path, frames: Iterable[tuple[str, Frame]], words: Sequence[str], target: str
    ) -> Generator[npt.NDArray[Any], None, None]:
        Manifest.load(artifact)
        with tempfile.TemporaryDirectory(prefix="segfast-frames-") as name:
            folder = Path(name)
            line = ["run", str(artifact.resolve()), "-", "--out", str(folder), "--write", "raw", "--json", *words]
            with process(target, line) as child:
                waiting: deque[Path] = deque()
                for index, (_, frame) in enumerate(frames):
                    waiting.append(_send(child, folder / f"{index}.ppm", frame))
                    if len(waiting) > _AHEAD:
                        yield _receive(child, waiting.popleft())
                while waiting:
                    yield _receive(child, waiting.popleft())
                _pipe(child.stdin).close()
                self.session = _answer(child)["session"]
        if self.session["torch_imported"] and not engine_named(self.session["engine"]).imports_torch:
            raise TargetError(f"the process that ran {artifact} imported torch, which the device code must not do")


def _send(child: "subprocess.Popen[str]", path: Path, frame: Frame) -> Path:
    write_picture(path, frame)  # PPM: lossless, and no time spent on compression
    stream = _pipe(child.stdin)
    stream.write(f"{path}\n")
    stream.flush()
    return path


def _answer(child: "subprocess.Popen[str]") -> dict[str, Any]:
    line = _pipe(child.stdout).readline()
    if not line:
        raise EOFError
    answer: dict[str, Any] = json.loads(line)
    return answer


def _receive(child: "subprocess.Popen[str]", picture: Path) -> npt.NDArray[Any]:
    written = Path(_answer(child)["written"][0])
    raw: npt.NDArray[Any] = np.load(written, allow_pickle=False)
    picture.unlink()
    written.unlink()
    return raw


def outputs(
    artifact: Path,
    frames: Iterable[tuple[str, Frame]],
    *,
    target: str = "x86",
    threads: int = 0,
    precision: str | None = None,
) -> Outputs:
    """Run named frames of any size through an artifact in a fresh process without torch; yield its raw outputs.

    Each is uint8 labels [1, H, W] or float32 logits [1, H, W, classes] at the network's size. Frames are taken
    one by one as the process gets to them, and the process is stopped when the iterator is closed or dropped.

    Raises:
        ArtifactError: the artifact is missing, damaged or of another version.
        TargetError: no such target, its runtime is missing, or the process failed; its own line says why.
    """
    words = ["--threads", str(threads)]
    if precision is not None:
        words += ["--precision", precision]
    return Outputs(artifact, frames, words, target)
