"""A Raspberry Pi with a 64-bit system."""

from segfast_edge.contract.manifest import Manifest
from targets.common.board_kind import is_raspberry_pi
from targets.common.target import Target


def _refusal(manifest: Manifest) -> str | None:
    # OpenVINO 2026.4 int8: no kernel compiles on a Cortex-A72; on an A76 it runs 132 times the instructions of float32
    if manifest.format == "openvino" and manifest.precision == "int8":
        return "OpenVINO has no working int8 on ARM. Convert to TFLite: segfast-edge convert ... --target tflite --int8"
    return None


TARGET = Target(
    name="rpi",
    description="Raspberry Pi 4 or 5, 64-bit",
    engines={
        "tflite": ("litert",),
        "onnx": ("onnxruntime",),
        "openvino": ("openvino",),
        "torchscript": ("torchscript",),
    },
    is_here=is_raspberry_pi,
    refusal=_refusal,
)
