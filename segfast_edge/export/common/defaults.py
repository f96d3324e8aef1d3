"""Which form of the transposed convolution each runtime gets unless a user or a tuning run says otherwise.

OpenVINO and TFLite: a SegFast-like network at 224 x 224 on two cores of an x86-64 server CPU with AVX-512 VNNI, one
process per candidate, rounds interleaved, median latency (OpenVINO float32 on one thread: subpixel 4.4 ms, native
6.7 ms; int8 3.8 ms and 9.5 ms; TFLite float32: phases 3.2 ms, dense 14.0 ms; int8 2.2 ms and 3.8 ms).

ONNX float32 and TorchScript: ``--tune`` on the shipped weights, one thread, three rounds on the same kind of machine
under other load, where medians spread twofold. ONNX native 28 ms, subpixel 37 ms, the others over 39 ms; TorchScript
native 65 ms and dense 64 ms, which is no difference, the others over 110 ms. So native stays for both.

ONNX int8 in ONNX Runtime, one thread of the same kind of machine under other load, processor time per run on the
shipped weights: native 14.3 ms, with the transposed convolutions in float, phases 19.8 ms, subpixel 26.2 ms; float32
native 20.5 ms. For TensorRT it is not a matter of speed: it has no grouped transposed convolution in int8.

The order changes with the CPU and the network: ``--tune`` measures it where it matters.
"""

_FASTEST = {
    ("openvino", "float32"): "subpixel",
    ("openvino", "int8"): "subpixel",
    ("torchscript", "float32"): "native",
    ("onnx", "float32"): "native",
    ("onnx", "int8"): "native",
    ("tflite", "float32"): "phases",
    ("tflite", "int8"): "phases",
}


def default_lowering(export_format: str, precision: str = "float32", engine: str | None = None) -> str:
    """Return the name of the lowering for a format, precision and engine; ``native`` for a format not measured."""
    if precision == "int8" and engine == "tensorrt":
        return "subpixel"
    return _FASTEST.get((export_format, precision), "native")
