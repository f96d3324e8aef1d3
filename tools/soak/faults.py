"""What can go wrong around a runner: ``FAULTS`` it must live through, ``ENDINGS`` after which it begins again."""

import contextlib
import os
import random
import resource
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

from stand import RECOVERY_S, SIZES, Stand

_STREAM = b"GET /stream.mjpg HTTP/1.0\r\nHost: localhost\r\n\r\n"

Fault = Callable[[Stand, random.Random], None]


def unplugged(stand: Stand, chance: random.Random) -> None:
    """The camera goes and comes back."""
    stand.camera.unplug()
    time.sleep(chance.uniform(0.5, 3.0))
    stand.camera.plug()


def silent(stand: Stand, chance: random.Random) -> None:
    """The camera stays connected and sends nothing."""
    _stream(stand, "stall", chance.uniform(0.5, 6.5))


def _stream(stand: Stand, fault: str, seconds: float) -> None:
    stand.camera.fault = fault
    time.sleep(seconds)
    stand.camera.fault = None


def damaged_frames(stand: Stand, chance: random.Random) -> None:
    """The camera sends parts that are damaged in one of several ways."""
    _stream(stand, chance.choice(("corrupt", "cut", "empty", "lying", "noise", "unsized")), chance.uniform(0.3, 2.0))


def other_resolution(stand: Stand, chance: random.Random) -> None:
    """The camera changes the size of its frames."""
    stand.camera.frames = stand.videos[chance.choice(SIZES)]
    time.sleep(0.3)


def full_disk(stand: Stand, chance: random.Random) -> None:
    """No file can grow; what Linux calls a file size limit is set from outside, which needs no rights and no disk."""
    before = resource.prlimit(stand.child.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(stand.child.pid, resource.RLIMIT_FSIZE, (100, before[1]))
    time.sleep(chance.uniform(0.5, 2.0))
    resource.prlimit(stand.child.pid, resource.RLIMIT_FSIZE, before)


def engine_raises(stand: Stand, chance: random.Random) -> None:
    """The engine raises on every frame for a while."""
    _engine(stand, "raise", chance.uniform(0.3, 2.0))


def engine_lies(stand: Stand, chance: random.Random) -> None:
    """The engine gives labels that no class has."""
    _engine(stand, "wrong", chance.uniform(0.3, 1.5))


def _engine(stand: Stand, fault: str, seconds: float) -> None:
    stand.fault.write_text(fault)
    time.sleep(seconds)
    stand.fault.unlink(missing_ok=True)


def engine_hangs(stand: Stand, _: random.Random) -> None:
    """The engine takes three seconds for one frame."""
    stand.fault.write_text("hang")
    while stand.fault.exists() and stand.child.poll() is None:
        time.sleep(0.05)
    time.sleep(3.0)


def frozen(stand: Stand, chance: random.Random) -> None:
    """The process gets no time at all, as on a computer that is overloaded or asleep."""
    stand.child.send_signal(signal.SIGSTOP)
    time.sleep(chance.uniform(0.3, 2.0))
    stand.child.send_signal(signal.SIGCONT)


def reloaded(stand: Stand, _: random.Random) -> None:
    """SIGHUP: the model is opened again."""
    stand.child.send_signal(signal.SIGHUP)
    time.sleep(0.5)


def damaged_model(stand: Stand, _: random.Random) -> None:
    """The model on the disk is damaged and reloaded; the one in use must go on."""
    with _damage(stand):
        stand.child.send_signal(signal.SIGHUP)
        time.sleep(1.0)


@contextlib.contextmanager
def _damage(stand: Stand) -> Iterator[None]:
    model = next(path for path in stand.artifact.iterdir() if path.name.startswith("model."))
    sound = model.read_bytes()
    model.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    yield
    model.write_bytes(sound)


def date_jumps(stand: Stand, chance: random.Random) -> None:
    """The date jumps by up to ten years, forwards or back, and back again; no other process sees it."""
    before = _date_of(stand)
    stand.date.move_to(chance.choice((-1, 1)) * chance.randint(3600, 10 * 365 * 86400))
    time.sleep(chance.uniform(0.5, 2.0))
    moved_s = abs(_date_of(stand) - before)
    stand.date.move_to(0)
    assert moved_s > 3000, f"the runner did not see the date move, only {moved_s:.0f} s"


def _date_of(stand: Stand) -> float:
    try:
        answer = urllib.request.urlopen(f"http://127.0.0.1:{stand.port}/healthz", timeout=10)
    except urllib.error.HTTPError as error:  # 503: it is not well at the moment
        answer = error
    with answer:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()


def rude_visitors(stand: Stand, chance: random.Random) -> None:
    """The page is asked for nonsense, and for streams that nobody reads."""
    address = ("127.0.0.1", stand.port)
    held = []
    for _ in range(12):
        with contextlib.suppress(OSError):
            visitor = socket.create_connection(address, timeout=1)
            visitor.sendall(chance.choice((_STREAM, os.urandom(200), b"G")))
            held.append(visitor)
    time.sleep(1.0)
    for visitor in held:
        visitor.close()


FAULTS: tuple[Fault, ...] = (
    unplugged,
    silent,
    damaged_frames,
    other_resolution,
    full_disk,
    engine_raises,
    engine_lies,
    engine_hangs,
    frozen,
    reloaded,
    damaged_model,
    rude_visitors,
    date_jumps,
)


def terminated(stand: Stand, _: random.Random) -> None:
    """SIGTERM."""
    stand.end()
    stand.begin()


def reader_gone(stand: Stand, chance: random.Random) -> None:
    """Whoever reads standard output goes; the other outputs must go on until SIGTERM."""
    stand.hang_up()
    time.sleep(chance.uniform(0.5, 2.0))
    if not stand.goes_on(f"shm:{stand.shm}", RECOVERY_S):
        stand.seen.troubles.append("the other outputs ended with the one whose reader had gone")
    stand.end()
    stand.begin()


def damaged_at_start(stand: Stand, _: random.Random) -> None:
    """The model is damaged while the runner is down; it must refuse to start, and start when the model is sound."""
    stand.end()
    with _damage(stand):
        stand.refusals.append(stand.refusal())
    stand.begin()


ENDINGS: tuple[Fault, ...] = (terminated, reader_gone, damaged_at_start)
