"""TorchScript: a traced and frozen module."""

from segfast_edge.contract.formats import Format

FORMAT = Format(title="TorchScript", model_file="model.ts", engines=("torchscript",), extra="train")
