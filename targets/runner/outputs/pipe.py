"""Masks on a pipe, each as a binary PGM picture, whose header gives its size."""

from segfast_edge.contract.classes import IGNORED
from segfast_edge.errors import DataError
from targets.runner.frames import Notice, Result
from targets.runner.output_thread import Output
from targets.runner.outputs import OutputContext
from targets.runner.outputs.jsonl import write_all

FORM = "pipe:- (masks on standard output, as PGM; all 255 if there is no result)"


def open_output(argument: str, context: OutputContext) -> Output:
    """Open standard output."""
    if argument != "-":
        raise DataError(f"output 'pipe:{argument}' is unknown; pipe:- writes to standard output")
    return Pipe(context.stdout)


class Pipe(Output):
    """Writes each mask at once; standard output was open before and stays so."""

    wants_frame = False

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = (1, 1)

    def write(self, result: Result) -> None:
        """Write a mask."""
        height, width = self._size = result.mask.shape[0], result.mask.shape[1]
        write_all(self._descriptor, b"P5 %d %d 255\n" % (width, height) + result.mask.tobytes())

    def notice(self, _: Notice) -> None:
        """Write a mask of nothing but 255, the label that no class has, of the last mask's size."""
        height, width = self._size
        write_all(self._descriptor, b"P5 %d %d 255\n" % (width, height) + bytes([IGNORED]) * (height * width))
