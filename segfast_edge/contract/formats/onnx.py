"""ONNX, opset 18."""

from segfast_edge.contract.formats import Format

FORMAT = Format(
    title="ONNX",
    model_file="model.onnx",
    engines=("tensorrt", "onnxruntime", "openvino"),
    extra="onnx",
    converter=("onnx>=1.17", "onnxscript>=0.2"),
    integer=True,
    integer_engines=("onnxruntime", "tensorrt"),
)
