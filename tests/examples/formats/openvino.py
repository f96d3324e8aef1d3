"""The tiny network as OpenVINO IR, by OpenVINO's own converter."""

from pathlib import Path

from tiny_network import network


def write(path: Path) -> None:
    """Write the model file."""
    import openvino

    module, example = network()
    model = openvino.convert_model(module, example_input=example, input=list(example.shape))
    openvino.save_model(model, path, compress_to_fp16=False)
