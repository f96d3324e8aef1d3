"""Masks as pictures: 8-bit class ids at the frame's size."""

from targets.runner.frames import Notice, Result
from targets.runner.output_thread import Output
from targets.runner.outputs import OutputContext
from targets.runner.outputs._folder import PictureFolder

FORM = "masks:DIR[,keep=N] (class ids as PNG)"


def open_output(argument: str, context: OutputContext) -> Output:
    """Open a folder for masks."""
    return Masks(PictureFolder(argument, "masks", ".mask.png", context.folder))


class Masks:
    """Writes NAME.mask.png; with no result there is no picture."""

    wants_frame = False

    def __init__(self, folder: PictureFolder) -> None:
        self._folder = folder

    def write(self, result: Result) -> None:
        """Write the mask."""
        self._folder.write(result.name, result.number, result.mask)

    def notice(self, _: Notice) -> None:
        """Write nothing: the pictures themselves are the news."""

    def close(self) -> None:
        """Nothing is open."""
