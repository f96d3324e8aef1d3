"""Masks as pictures: 8-bit class ids at the frame's size."""

from targets.runner.output_thread import Output
from targets.runner.outputs import OutputContext
from targets.runner.outputs._folder import PictureFolder, Pictures

FORM = "masks:DIR[,keep=N] (class ids as PNG)"


def open_output(argument: str, context: OutputContext) -> Output:
    """Open a folder for masks, NAME.mask.png."""
    return Pictures(PictureFolder(argument, "masks", ".mask.png", context.folder), lambda result: result.mask)
