"""segfast-edge device: the device side's own command line, from this installation."""

import argparse
import os
import sys

from segfast_edge.cli._packages import ENGINE

HELP = "run the device side on this computer: segment pictures, profile, time layers, follow a camera"
EXAMPLE = "segfast-edge device x86 run artifacts/segfast-tflite photo.jpg --out masks"
NEEDS = {"artifacts": (ENGINE,)}
COMMAND = "SEGFAST_COMMAND"  # the device side puts it into its help texts


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is handed on."""
    parser.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        metavar="TARGET VERB ...",
        help="kind of computer such as x86, then run, profile, layers, needs or stream."
        " 'segfast-edge device x86 VERB --help' shows a verb's options",
    )


def run(args: argparse.Namespace) -> int:
    """Become the device side's process, so that signals, standard input and the exit status are its own."""
    from segfast_edge.device.code import import_path

    path = os.pathsep.join(filter(None, (str(import_path()), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, COMMAND: "segfast-edge device"}
    sys.stdout.flush()
    # -P: a folder named targets where the user happens to be is not imported
    os.execve(sys.executable, [sys.executable, "-P", "-m", "targets", *(args.words or ["--help"])], environment)  # noqa: S606
