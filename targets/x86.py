"""A PC: 64-bit x86, any runtime. Its usual system is Debian 12."""

from segfast_edge.contract.engines import X86
from targets.common.board_kind import is_x86
from targets.common.descriptor import System, Target

TARGET = Target(
    name="x86", description="64-bit x86 PC", machine=X86, is_here=is_x86, usual=System(python=(3, 11), glibc=(2, 36))
)
