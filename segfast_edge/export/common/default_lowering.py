"""Which form of the transposed convolution each runtime gets unless a user or a tuning run says otherwise.

TFLite: a SegFast-like network at 224 x 224 on two cores of an x86-64 server CPU with AVX-512 VNNI, one process per
candidate, rounds interleaved, median latency (float32: phases 3.2 ms, dense 14.0 ms; int8 2.2 ms and 3.8 ms).

OpenVINO: SegFast's shipped weights at 224 x 224 on one thread of the same kind of machine under other load, least of 60
runs: float32 phases 19.2 ms, subpixel 25.2 ms; int8 phases 7.1 ms, subpixel 11.1 ms, most of which is grouped
convolutions with four outputs a group (4.1 ms) and the interleaving of single values (1.7 ms, phases 0.1 ms).

ONNX float32: ``--tune`` on the shipped weights, one thread, three rounds on the same kind of machine under other load,
where medians spread twofold: native 28 ms, subpixel 37 ms, the others over 39 ms. TorchScript, processor time of a run:
native 26 ms, subpixel 37 ms, phases 61 ms.

ONNX int8 in ONNX Runtime, one thread of the same kind of machine under other load, processor time per run on the
shipped weights: native 14.3 ms, with the transposed convolutions in float, phases 19.8 ms, subpixel 26.2 ms; float32
native 20.5 ms. For TensorRT it is not a matter of speed: it has no grouped transposed convolution in int8.

The order changes with the CPU and the network: ``--tune`` measures it where it matters.
"""

_FASTEST = {
    ("openvino", "float32"): "phases",
    ("openvino", "int8"): "phases",
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
