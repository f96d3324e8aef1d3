"""A command that runs alone on a device: it outlives a lost connection, and ends on request or after a time limit."""

import contextlib
import logging
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from segfast_edge.contract.shared.endings import failure, how_ended, signal_of
from segfast_edge.errors import TargetError, UnreachableError
from segfast_edge.remote.ssh import Ssh

_LOG = logging.getLogger(__name__)

RECONNECT_S = 60.0
_GRACE_S = 5  # between asking a job to end and killing it

# timeout(1) leads a process group of its own: it passes a signal on to all of it, and kills it _GRACE_S later
_SCRIPT = """\
cd "$(dirname "$0")" || exit 1
{exports}: >{watched}
: >beats
timeout -k {grace} {limit} {command} >out 2>err </dev/null &
job=$!
echo $job >pid.new && mv pid.new pid
{leash}wait $job
echo $? >status.new && mv status.new status
"""
# whoever follows the job adds to the file; it is counted, not dated: the clock of a car computer may jump
_LEASH = """\
(
  last=0 quiet=0
  while [ ! -e status ] && kill -0 $job 2>/dev/null && [ $quiet -lt {looks} ]; do
    sleep {step}
    now=$(wc -c <beats)
    if [ "$now" = "$last" ]; then quiet=$((quiet+1)); else quiet=0 last=$now; fi
  done
  [ $quiet -lt {looks} ] && exit
  kill -TERM $job && sleep {grace} && kill -KILL -$job
) </dev/null >/dev/null 2>&1 &
"""
_LOOKS = 6  # at the file, in the time that a job is left alone
_START = """
cd {folder} || exit 1
setsid sh job.sh </dev/null >/dev/null 2>&1 &
while [ ! -s pid ] && [ -d . ]; do sleep 0.1; done
"""
_FOLLOW = """
cd {folder} || exit 1
exec 3<&0
cat <&3 >>beats 2>/dev/null &
exec tail -s 0.2 -c +{place} -f --pid=$(cat pid) {watched} 3<&-
"""
_RESULT = """
cd {folder} || exit 1
tries=0
while [ ! -e status ] && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries+1)); done
cat status 2>/dev/null || echo lost
tail -c 4000 err
"""
_KILL = """
cd {folder} 2>/dev/null && [ -s pid ] || exit 0
[ -e status ] && exit 0
job=$(cat pid)
kill -TERM $job 2>/dev/null
tries=0
while [ ! -e status ] && kill -0 $job 2>/dev/null && [ $tries -lt {tries} ]; do sleep 0.1; tries=$((tries+1)); done
kill -KILL -$job 2>/dev/null
exit 0
"""
TIMED_OUT = 124  # of timeout(1)


@dataclass(frozen=True, slots=True)
class Command:
    """Words to run in a folder of the device, and the seconds after which they are ended.

    Standard output goes to the file ``out`` there; ``watched`` is the file whose lines are followed. ``packages``
    are folders that Python looks into before it looks where the device has its own. ``reconnect_s`` is how long a
    lost connection is tried again. ``alone_s`` is how long the job continues there without anybody who follows it; None
    means until its limit. It must be longer than ``reconnect_s``.
    """

    words: Sequence[str]
    limit_s: float
    watched: str = "out"
    packages: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    reconnect_s: float = RECONNECT_S
    alone_s: float | None = None

    def script(self) -> str:
        """Return the shell script of the job."""
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in self.variables.items())
        if self.packages:
            own = ":".join(map(shlex.quote, self.packages))
            exports += f"export PYTHONPATH={own}${{PYTHONPATH:+:$PYTHONPATH}}\n"
        leash = ""
        if self.alone_s is not None:
            leash = _LEASH.format(looks=_LOOKS, step=round(self.alone_s / _LOOKS, 1), grace=_GRACE_S)
        return _SCRIPT.format(
            exports=exports,
            leash=leash,
            watched=shlex.quote(self.watched),
            grace=_GRACE_S,
            limit=int(self.limit_s),
            command=shlex.join(self.words),
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a job: its exit status, and the end of what it wrote to standard error."""

    status: int
    errors: str

    def failure(self, name: str, limit_s: float, *, prefix: str = "") -> str:
        """Return one line about a job that failed; ``prefix`` is what its own lines begin with."""
        if self.status == TIMED_OUT:
            return f"{name} was ended after {limit_s:.0f} s"
        if signal_of(self.status) is signal.SIGKILL:  # timeout(1) kills, too, what does not end when it is asked to
            return f"{name} {how_ended(self.status)}, or it was stuck for {limit_s:.0f} s"
        return failure(name, self.status, self.errors, prefix=prefix, expected=TargetError.exit_code)


class _Patience:
    """How long a lost connection is tried again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline: float | None = None

    def wait(self, error: UnreachableError) -> None:
        """Wait before the next try, or raise ``error`` when the time is up."""
        now = time.monotonic()
        self._deadline = self._deadline or now + self._seconds
        if now >= self._deadline:
            raise error
        time.sleep(min(1.0, self._seconds / 4))


@contextlib.contextmanager
def _beating(pipe: IO[bytes] | None, every_s: float | None) -> Iterator[None]:
    """Send a byte ``every_s`` seconds while the block runs, so that the device notices if this computer is gone."""
    done = threading.Event()

    def beat() -> None:
        with contextlib.suppress(OSError, ValueError):  # the connection is gone, which the reading side reports
            while pipe is not None and not done.wait(every_s):
                pipe.write(b".")
                pipe.flush()

    if every_s is None:
        yield
        return
    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Job:
    """A started job; ``lines`` follows it, ``ended`` says how it ended."""

    def __init__(self, ssh: Ssh, folder: str, command: Command) -> None:
        self._ssh = ssh
        self._folder = shlex.quote(folder)
        self._watched = shlex.quote(command.watched)
        self._reconnect_s = command.reconnect_s
        self._beat_s = None if command.alone_s is None else command.alone_s / (3 * _LOOKS)
        self._read = 0  # bytes of complete lines so far, which is where following resumes
        self.reconnections = 0
        self.over = False

    def lines(self) -> Iterator[str]:
        """Yield the watched file line by line until the job ends; it continues after a lost connection.

        Raises:
            UnreachableError: the connection did not come back in time. The job continues there until its own limit, or
            until it has been alone for too long.
        """
        patience = _Patience(self._reconnect_s)
        while True:
            try:
                for line in self._follow():
                    patience = _Patience(self._reconnect_s)
                    yield line
                return
            except UnreachableError as error:
                patience.wait(error)
                self.reconnections += 1

    def _follow(self) -> Iterator[str]:
        script = _FOLLOW.format(folder=self._folder, place=self._read + 1, watched=self._watched)
        stdin = subprocess.DEVNULL if self._beat_s is None else subprocess.PIPE
        with self._ssh.process(script, stdin=stdin) as child, _beating(child.stdin, self._beat_s):
            for line in self._ssh.own_lines(child):
                if line.endswith(b"\n"):
                    self._read += len(line)
                    yield line.decode(errors="replace").rstrip("\n")

    def ended(self) -> Ended:
        """Return how the job ended.

        Raises:
            TargetError: it went without leaving a status: the device restarted, or ends what a closed session left.
        """
        said = self._persistently(_RESULT.format(folder=self._folder)).decode(errors="replace")
        status, _, errors = said.partition("\n")
        if not status.isdigit():
            raise TargetError(f"the job on {self._ssh.host} ended without a result; did the device restart?")
        self.over = True
        return Ended(int(status), errors)

    def result(self) -> bytes:
        """Return what it wrote to standard output."""
        return self._persistently(f"cd {self._folder} && cat out")

    def _persistently(self, script: str) -> bytes:
        patience = _Patience(self._reconnect_s)
        while True:
            try:
                return self._ssh.output(script, timeout_s=300)
            except UnreachableError as error:
                patience.wait(error)
                self.reconnections += 1

    def kill(self) -> None:
        """End it and all it started: asked first, killed after a few seconds. Nothing to do if it has ended."""
        script = _KILL.format(folder=self._folder, tries=(_GRACE_S + 2) * 10)
        try:
            self._ssh.output(script, timeout_s=30, cleaning=True)
        except TargetError as error:
            _LOG.warning("a job on %s may go on until its time limit: %s", self._ssh.host, error)


@contextlib.contextmanager
def job(ssh: Ssh, folder: str, command: Command) -> Iterator[Job]:
    """Start a command in a folder of the device; whatever ends the block ends the job, too.

    Raises:
        UnreachableError: the device cannot be reached.
    """
    ssh.copy_in(f"{folder}/job.sh", command.script().encode())
    running = Job(ssh, folder, command)
    try:
        ssh.output(_START.format(folder=shlex.quote(folder)))
        yield running
    finally:
        if not running.over:
            running.kill()
