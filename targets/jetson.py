"""An NVIDIA Jetson."""

from segfast_edge.contract.manifest import Manifest
from targets.common.board_kind import is_jetson
from targets.common.target import Target


def _refusal(manifest: Manifest) -> str | None:
    if manifest.format == "openvino":
        return "OpenVINO does not use a Jetson's GPU. Convert to ONNX: segfast-edge convert ... --target onnx"
    return None


TARGET = Target(
    name="jetson",
    description="NVIDIA Jetson",
    engines={"onnx": ("tensorrt", "onnxruntime"), "tflite": ("litert",), "torchscript": ("torchscript",)},
    is_here=is_jetson,
    refusal=_refusal,
    memory_shared_with_gpu=True,
    prefers_gpu=True,
)
