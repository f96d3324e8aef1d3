"""An NVIDIA Jetson, usually with JetPack 6, which is Ubuntu 22.04."""

from segfast_edge.contract.engines import ARM64
from targets.common.board_kind import is_jetson
from targets.common.descriptor import System, Target

TARGET = Target(
    name="jetson",
    description="NVIDIA Jetson",
    machine=ARM64,
    is_here=is_jetson,
    usual=System(python=(3, 10), glibc=(2, 35)),
    memory_shared_with_gpu=True,
    prefers_gpu=True,
)
