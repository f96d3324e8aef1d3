"""Which form of the transposed convolution each runtime gets unless a user or a tuning run says otherwise.

Measured on two cores of an x86-64 server CPU with AVX-512 VNNI, SegFast at 224 x 224, one process per candidate,
rounds interleaved, median latency. The order changes with the CPU: ``--tune`` measures it where it matters.
"""

_FASTEST = {
    ("openvino", "float32"): "subpixel",
    ("openvino", "int8"): "subpixel",
    ("torchscript", "float32"): "native",
    ("onnx", "float32"): "native",
    ("onnx", "int8"): "subpixel",
    ("tflite", "float32"): "phases",
    ("tflite", "int8"): "phases",
}


def default_lowering(export_format: str, precision: str = "float32") -> str:
    """Return the name of the lowering for a format and precision; ``native`` for a format not measured."""
    return _FASTEST.get((export_format, precision), "native")
