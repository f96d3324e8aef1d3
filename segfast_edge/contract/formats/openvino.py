"""OpenVINO's intermediate representation."""

from segfast_edge.contract.formats import Format

FORMAT = Format(
    title="OpenVINO IR",
    model_file="model.xml",
    more_files=("model.bin",),
    engines=("openvino",),
    extra="openvino",
    converter=("openvino>=2025.0",),
    integer=True,
    integer_converter=("nncf>=3.0",),
)
