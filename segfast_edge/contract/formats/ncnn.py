"""ncnn's layers in a text file, and their weights beside it."""

from segfast_edge.contract.formats import Format

FORMAT = Format(
    title="ncnn",
    model_file="model.param",
    more_files=("model.bin",),
    engines=("ncnn",),
    extra="ncnn",
    converter=("ncnn>=1.0.20250916", "pnnx>=20250930"),
)
