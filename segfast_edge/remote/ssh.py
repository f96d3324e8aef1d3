"""The system's ssh, with the user's own configuration, keys, agent and host-key checks; never a password prompt."""

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from segfast_edge.contract.shared.endings import failure
from segfast_edge.errors import TargetError, UnreachableError

_FAILED = 255  # ssh's exit status for its own failures; the remote command's own is below
_OPTIONS = {
    "BatchMode": "yes",  # nothing here can answer a question
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",  # a link that died without a word is noticed within 15 s
    "ServerAliveCountMax": "3",
    "ClearAllForwardings": "yes",
    "LogLevel": "ERROR",  # greetings stay out of the error messages
}


class Ssh:
    """Commands on one host. ``SEGFAST_SSH`` replaces the word ``ssh``, for example with ``ssh -F my_config``.

    ``stop`` may be called from another thread: what runs is ended, and nothing more is started but the cleaning up.
    """

    def __init__(self, host: str) -> None:
        if not host or host.startswith("-") or any(character.isspace() for character in host):
            raise TargetError(f"'{host}' is not a host; give one as ssh takes it, for example pi@raspberrypi.local")
        self.host = host
        self._stopped = threading.Event()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._words = shlex.split(os.environ.get("SEGFAST_SSH", "ssh"))
        if not self._words or shutil.which(self._words[0]) is None:
            raise TargetError(
                f"{self._words[0] if self._words else 'ssh'} is missing. Run: apt-get install openssh-client"
            )

    @property
    def command(self) -> list[str]:
        """The ssh command with its options, without the host: what rsync takes as its ``-e``."""
        return [*self._words, *(word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}"))]

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End what runs now, and let nothing but cleaning up start."""
        self._stopped.set()
        for child in list(self._running):
            child.terminate()

    @contextlib.contextmanager
    def process(
        self, script: str, *, stdin: int = subprocess.DEVNULL, cleaning: bool = False
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a shell script on the host and give the local ssh process; it has ended when the block is left."""
        assert "'" not in script, "the script travels in single quotes, which every login shell reads alike"
        with self.local([*self.command, self.host, f"exec sh -c '{script}'"], stdin=stdin, cleaning=cleaning) as child:
            yield child

    @contextlib.contextmanager
    def local(
        self, words: Sequence[str], *, stdin: int = subprocess.DEVNULL, cleaning: bool = False
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Start a local command that talks to the host, ssh or rsync; ended with the block, failures of ssh raised.

        Raises:
            UnreachableError: ssh could not reach the host, or lost it; the message ends with ssh's own words.
        """
        if self.stopped and not cleaning:
            raise TargetError(f"stopped before the work on {self.host} was done")
        with tempfile.TemporaryFile() as errors:
            # a session of its own: Ctrl-C goes to this process alone, which then ends the remote side in order
            child = subprocess.Popen(words, stdin=stdin, stdout=subprocess.PIPE, stderr=errors, start_new_session=True)
            self._running.add(child)
            try:
                yield child
                child.wait()
            finally:
                self._running.discard(child)
                _end(child)
            self._raise_for(child, errors, cleaning=cleaning)

    def _raise_for(self, child: "subprocess.Popen[bytes]", errors: IO[bytes], *, cleaning: bool) -> None:
        if self.stopped and not cleaning:
            raise TargetError(f"stopped before the work on {self.host} was done")
        if child.returncode == 0:
            return
        errors.seek(0)
        lines = [line.strip() for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
        if child.returncode == _FAILED:
            said = lines[-1] if lines else "ssh wrote no reason"
            raise UnreachableError(f"cannot reach {self.host}: {said}. Try: {shlex.join(self._words)} {self.host} true")
        # a shell's first line names the cause, and what follows from it comes after
        raise TargetError(f"{self.host}: {failure('the command', child.returncode, lines[0] if lines else '')}")

    def output(self, script: str, *, timeout_s: float = 60.0, cleaning: bool = False) -> bytes:
        """Run a shell script on the host and return what it wrote to standard output.

        Raises:
            UnreachableError: ssh could not reach the host, or it did not answer within ``timeout_s``.
            TargetError: the script ended with another status than 0; the message is its first line of errors.
        """
        with self.process(script, cleaning=cleaning) as child:
            try:
                return child.communicate(timeout=timeout_s)[0]
            except subprocess.TimeoutExpired as error:
                raise UnreachableError(f"{self.host} did not answer within {timeout_s:.0f} s") from error

    def copy_in(self, path: str, content: bytes) -> None:
        """Write a small file on the host."""
        with self.process(f"cat >{quoted(path)}", stdin=subprocess.PIPE) as child, contextlib.suppress(BrokenPipeError):
            child.communicate(content)

    def fetch(self, path: str) -> bytes:
        """Return a file of the host."""
        return self.output(f"cat {quoted(path)}", timeout_s=300)


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
        child.kill()
        child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def quoted(text: str) -> str:
    """Quote a word for a script that ``Ssh`` sends, which may hold no single quote."""
    if "'" in text:
        raise TargetError(f"{text} holds a single quote; rename it")
    for character in '\\"$`':
        text = text.replace(character, f"\\{character}")
    return f'"{text}"'


def rsync(ssh: Ssh, source: Path, destination: str) -> list[str]:
    """Return the rsync command that makes ``destination`` on the host hold what the local folder ``source`` holds."""
    options = ["--recursive", "--links", "--perms", "--times", "--delete", "--partial", "--compress"]
    return ["rsync", *options, "-e", shlex.join(ssh.command), f"{source}/", f"{ssh.host}:{destination}/"]
