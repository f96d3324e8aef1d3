"""The newest mask in shared memory, for another process on this computer."""

from targets.runner.output_thread import Output
from targets.runner.outputs import OutputContext
from targets.runner.shared_mask import MaskWriter

FORM = "shm:NAME (the newest mask in shared memory; docs/runner.md has its layout)"


def open_output(argument: str, _: OutputContext) -> Output:
    """Make the shared memory."""
    return MaskWriter(argument)
