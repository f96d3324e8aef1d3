"""TFLite, NHWC throughout."""

from segfast_edge.contract.formats import Format

FORMAT = Format(
    title="TFLite",
    model_file="model.tflite",
    engines=("litert",),
    extra="litert",
    converter=("ai-edge-litert>=1.2", "flatbuffers>=24.3"),
    half=True,
    integer=True,
    other_converters=("litert-torch",),
)
