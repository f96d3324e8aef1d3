"""A Raspberry Pi with a 64-bit system, usually Raspberry Pi OS bookworm.

Bullseye has glibc 2.31, for which only tflite-runtime has wheels, and needs a Python 3.10 or 3.11 of one's own.
"""

from segfast_edge.contract.engines import ARM64
from targets.common.board_kind import is_raspberry_pi
from targets.common.descriptor import System, Target

TARGET = Target(
    name="rpi",
    description="Raspberry Pi 4 or 5, 64-bit",
    machine=ARM64,
    is_here=is_raspberry_pi,
    usual=System(python=(3, 11), glibc=(2, 36)),
)
