"""The system's ssh, with the user's own configuration, keys, agent and host-key checks; never a password prompt.

The login shell on the other side may be any (bash, tcsh, fish) and may print what it likes before our script runs. So
the script travels as one word that every shell reads alike, ``sh`` runs it, and a random marker on both outputs tells
where the script's own begins.
"""

import contextlib
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from segfast_edge.contract.shared.endings import failure
from segfast_edge.contract.shared.stopping import end_child
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
        self.noisy = False  # its login shell prints to standard output, which rsync cannot bear
        self._marker = f"segfast-{secrets.token_hex(8)}"
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

    def address(self) -> tuple[frozenset[str], str]:
        """Return the addresses and the port that ssh would connect to by its configuration, without connecting.

        Behind a proxy or without an answer from ssh or the resolver, the name stands for the address.
        """
        done = subprocess.run([*self._words, "-G", self.host], capture_output=True, text=True, check=False)
        said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
        name, port = said.get("hostname", self.host).lower(), said.get("port", "22")
        if said.keys() & {"proxyjump", "proxycommand"}:
            return frozenset([name]), port
        try:
            return frozenset(str(found[4][0]) for found in socket.getaddrinfo(name, None)), port
        except OSError:
            return frozenset([name]), port

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
        """Run a shell script on the host and give the local ssh process; it has ended when the block is left.

        Its standard output begins with what the login shell printed, and a line that ends with the marker.
        """
        marked = f'printf "%s\\n" {self._marker}; printf "%s\\n" {self._marker} >&2\n{script}'
        with self.local([*self.command, self.host, one_word(marked)], stdin=stdin, cleaning=cleaning) as child:
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
                end_child(child)
            if self.stopped and not cleaning:
                raise TargetError(f"stopped before the work on {self.host} was done")
            if child.returncode != 0:
                raise self._failure(words, child.returncode, errors)

    def _failure(self, words: Sequence[str], status: int, errors: IO[bytes]) -> TargetError:
        errors.seek(0)
        _, marker, own = errors.read().decode(errors="replace").rpartition(self._marker)
        lines = [line.strip() for line in own.splitlines() if line.strip()]
        if status == _FAILED:
            said = lines[-1] if lines else "ssh wrote no reason"
            return UnreachableError(
                f"cannot reach {self.host}: {said}. Try: {shlex.join(self._words)} {self.host} true"
            )
        if not marker and words[0] == self._words[0]:
            return NoShellError(lines[0] if lines else "")
        # a shell's first line names the cause, and what follows from it comes after
        return TargetError(f"{self.host}: {failure('the command', status, lines[0] if lines else '')}")

    def _no_shell(self, said: str) -> TargetError:
        words = f": it printed '{said}'" if said else ""
        return TargetError(
            f"the login shell on {self.host} did not run sh{words}. The account needs a shell (chsh -s /bin/sh USER),"
            " and login scripts that do not end the session"
        )

    def output(self, script: str, *, timeout_s: float = 60.0, cleaning: bool = False) -> bytes:
        """Run a shell script on the host and return what it wrote to standard output.

        Raises:
            UnreachableError: ssh could not reach the host, or it did not answer within ``timeout_s``.
            TargetError: the script ended with another status than 0 (the message is its first line of errors), or
                the login shell did not run it.
        """
        said = b""
        try:
            with self.process(script, cleaning=cleaning) as child:
                try:
                    said = child.communicate(timeout=timeout_s)[0]
                except subprocess.TimeoutExpired as error:
                    raise UnreachableError(f"{self.host} did not answer within {timeout_s:.0f} s") from error
            before, marker, own = said.partition(f"{self._marker}\n".encode())
            if not marker:
                raise NoShellError
        except NoShellError as error:
            raise self._no_shell(str(error) or _first_line(said)) from None
        self.noisy = self.noisy or bool(before)
        return own

    def own_lines(self, child: "subprocess.Popen[bytes]") -> Iterator[bytes]:
        """Yield the lines that the script of ``process`` writes to standard output, without those before its marker."""
        assert child.stdout is not None, "the pipe was asked for"
        marker = f"{self._marker}\n".encode()
        for line in child.stdout:
            if line.endswith(marker):
                break
        yield from child.stdout

    def copy_in(self, path: str, content: bytes) -> None:
        """Write a small file on the host."""
        script = f"cat >{shlex.quote(path)}"
        with self.process(script, stdin=subprocess.PIPE) as child, contextlib.suppress(BrokenPipeError):
            child.communicate(content)

    def fetch(self, path: str) -> bytes:
        """Return a file of the host."""
        return self.output(f"cat {shlex.quote(path)}", timeout_s=300)


class NoShellError(TargetError):
    """The login shell ended before it ran the script; the message is what it said on standard error."""


def one_word(script: str) -> str:
    """Return the command that has ``sh`` run a script, without a character that login shells read differently.

    In single quotes, tcsh refuses a newline and expands an exclamation mark, and fish unescapes two backslashes.
    """
    plain = "".join(chr(byte) if _is_plain(byte) else f"\\0{byte:03o}" for byte in script.encode())
    return f"exec sh -c 'eval \"$(printf %b \"$1\")\"' sh '{plain}'"


def _is_plain(byte: int) -> bool:
    return 32 <= byte < 127 and chr(byte) not in "'\\!"


def _first_line(said: bytes) -> str:
    return next((line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()), "")


def rsync(ssh: Ssh, source: Path, destination: str) -> list[str]:
    """Return the rsync command that makes ``destination`` on the host hold what the local folder ``source`` holds."""
    options = ["--recursive", "--links", "--perms", "--times", "--delete", "--partial", "--compress"]
    return ["rsync", *options, "-e", shlex.join(ssh.command), f"{source}/", f"{ssh.host}:{destination}/"]
