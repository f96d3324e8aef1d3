"""A checkpoint of ours: the network's layers by kind, and what it costs at its input size."""

from pathlib import Path

import torch

from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.errors import SegfastError
from segfast_edge.inspection import Inspection, ModelFile, Port, counted
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.model.summary import on_meta, summarise


def read_checkpoint(path: Path) -> Inspection:
    """Read a checkpoint; its layers and their cost are not known where the network's own code is not at hand."""
    checkpoint = Checkpoint.load(path)
    height, width = checkpoint.preprocess.size
    classes = len(checkpoint.classes)
    macs, layers = _network(checkpoint.network, classes, checkpoint.preprocess)
    weights = counted(str(each.dtype).removeprefix("torch.") for each in checkpoint.weights.values())
    numbers = {
        kind: sum(_size(each) for each in checkpoint.weights.values() if str(each.dtype) == f"torch.{kind}")
        for kind in weights
    }
    file = ModelFile(
        (Port("normalised pictures", (1, 3, height, width), "float32"),),
        (Port("logits", (1, classes, height, width), "float32"),),
        layers,
        macs,
        numbers,
        {"network": checkpoint.network, "protocol": checkpoint.protocol},
    )
    return Inspection(
        str(path), "checkpoint", "PyTorch", file, "float32", path.stat().st_size,
        checkpoint.preprocess.to_json(), checkpoint.classes.to_json(), checkpoint.provenance,
    )  # fmt: skip


def _network(name: str, classes: int, preprocess: Preprocess) -> tuple[int | None, dict[str, int]]:
    try:
        macs = summarise(name, classes, preprocess.size).macs
        network = on_meta(name, classes)
    except (SegfastError, ModuleNotFoundError):
        return None, {}
    return macs, counted(type(layer).__name__ for layer in network.modules() if not [*layer.children()])


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel()
