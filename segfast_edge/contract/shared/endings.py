"""The end of a child process in words: the signal by its name and its most likely cause. Standard library only."""

import signal

_SHELL = 128  # a shell reports a child that signal N ended as status 128 + N
_CAUSES = {
    signal.SIGILL: "this CPU lacks an instruction that numpy or the engine needs",
    signal.SIGKILL: "most likely the system ran out of memory (dmesg tells), or somebody killed it",
    signal.SIGSEGV: "a library crashed, most likely on a damaged model file or one that it does not support",
    signal.SIGBUS: "a file in use was cut short, or the disk or memory failed",
    signal.SIGABRT: "a library gave up; its last line may say why",
    signal.SIGFPE: "a library divided by zero, most likely on a damaged model file",
    signal.SIGSYS: "a system call was refused, most likely by a sandbox",
    signal.SIGTRAP: "a library gave up; its last line may say why",
    signal.SIGTERM: "it was asked to end",
    signal.SIGINT: "it was interrupted",
    signal.SIGHUP: "its terminal or connection closed",
    signal.SIGPIPE: "whoever read its output is gone",
    signal.SIGXCPU: "it used more processor time than allowed",
    signal.SIGXFSZ: "it wrote a larger file than allowed",
}


def signal_of(status: int) -> signal.Signals | None:
    """Return the signal that a status of ``subprocess`` (negative) or of a shell (above 128) means, None for none."""
    number = -status if status < 0 else status - _SHELL
    try:
        return signal.Signals(number) if number > 0 else None
    except ValueError:
        return None


def how_ended(status: int) -> str:
    """Return what to say after the process's name, for example ``ended with status 3``."""
    found = signal_of(status)
    if found is None:
        return f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"
    cause = _CAUSES.get(found)
    return f"was ended by {found.name}" + (f": {cause}" if cause else "")


def failure(name: str, status: int, errors: str, *, prefix: str = "", expected: int | None = None) -> str:
    """Return one line about a process that failed: its own last line, and how it ended if that line cannot tell.

    ``errors`` is what it wrote to standard error; ``prefix`` is removed from its last line. With ``expected``, the
    status with which it reports what a user can fix, any other status is named as well.
    """
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = lines[-1].removeprefix(prefix) if lines else ""
    if not said:
        return f"{name} {how_ended(status)}"
    if signal_of(status) is not None:
        return f"{name} {how_ended(status)}. Its last line: {said}"
    return said if expected in (None, status) else f"{name} {how_ended(status)}: {said}"
