"""Overlays as pictures."""

from segfast_edge.contract.preprocess import MAX_SIDE
from targets.runner.frames import Notice, Result
from targets.runner.output_thread import Output
from targets.runner.outputs import OutputContext
from targets.runner.outputs._folder import PictureFolder
from targets.runner.outputs._painting import painted

FORM = "overlays:DIR[,keep=N] (the mask over the frame, as JPEG)"


def open_output(argument: str, context: OutputContext) -> Output:
    """Open a folder for overlays."""
    return Overlays(PictureFolder(argument, "overlays", ".overlay.jpg", context.folder))


class Overlays:
    """Writes NAME.overlay.jpg; with no result there is no picture."""

    wants_frame = True

    def __init__(self, folder: PictureFolder) -> None:
        self._folder = folder

    def write(self, result: Result) -> None:
        """Write the overlay at the frame's size."""
        self._folder.write(result.name, result.number, painted(result, MAX_SIDE))

    def notice(self, _: Notice) -> None:
        """Write nothing: the pictures themselves are the news."""

    def close(self) -> None:
        """Nothing is open."""
