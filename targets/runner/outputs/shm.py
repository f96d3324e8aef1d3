"""The newest mask in shared memory, for another process on this computer."""

from targets.runner.frames import Notice, Result
from targets.runner.output_thread import Output
from targets.runner.outputs import OutputContext
from targets.runner.shared_mask import MaskWriter

FORM = "shm:NAME (the newest mask in shared memory; docs/runner.md has its layout)"


def open_output(argument: str, _: OutputContext) -> Output:
    """Make the shared memory."""
    return SharedMemoryOutput(MaskWriter(argument))


class SharedMemoryOutput:
    """Keeps the newest mask and the state there."""

    wants_frame = False

    def __init__(self, writer: MaskWriter) -> None:
        self._writer = writer

    def write(self, result: Result) -> None:
        """Put the mask there."""
        self._writer.publish(result)

    def notice(self, notice: Notice) -> None:
        """Mark that the mask is not to be trusted."""
        self._writer.withdraw(notice)

    def close(self) -> None:
        """Say that the runner has ended; the memory stays for readers that have it open."""
        self._writer.close()
