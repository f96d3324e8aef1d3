"""A PC: 64-bit x86, any runtime."""

from targets.common.board_kind import is_x86
from targets.common.target import Target

TARGET = Target(
    name="x86",
    description="64-bit x86 PC",
    engines={
        "openvino": ("openvino",),
        "tflite": ("litert",),
        "onnx": ("onnxruntime", "openvino"),
        "torchscript": ("torchscript",),
    },
    is_here=is_x86,
)
