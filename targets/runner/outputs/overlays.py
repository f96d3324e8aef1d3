"""Overlays as pictures."""

from segfast_edge.contract.preprocess import MAX_SIDE
from targets.runner.output_thread import Output
from targets.runner.outputs import OutputContext
from targets.runner.outputs._folder import PictureFolder, Pictures
from targets.runner.outputs._painting import painted

FORM = "overlays:DIR[,keep=N] (the mask over the frame, as JPEG)"


def open_output(argument: str, context: OutputContext) -> Output:
    """Open a folder for overlays at the frame's size, NAME.overlay.jpg."""
    folder = PictureFolder(argument, "overlays", ".overlay.jpg", context.folder)
    return Pictures(folder, lambda result: painted(result, MAX_SIDE), wants_frame=True)
