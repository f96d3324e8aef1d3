"""The checkpoint that a training keeps, and what is written down about its making."""

import platform
from collections.abc import Mapping
from typing import Any

import torch

import segfast_edge
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.model.fake_int8 import plain
from segfast_edge.training.execution import Execution
from segfast_edge.training.prepare import TrainingData
from segfast_edge.training.settings import TrainingSettings
from segfast_edge.training.state import State


def checkpoint(
    settings: TrainingSettings, material: TrainingData, state: State, *, record: Mapping[str, Any], run_on: Execution
) -> Checkpoint:
    """Return the weights that were just validated; ``record`` is their epoch's line in ``metrics.jsonl``."""
    evaluated = plain(state.evaluated.state_dict())
    weights = {name: value.detach().cpu().contiguous() for name, value in evaluated.items()}
    provenance = {
        "data": settings.data,
        "split": "train, chosen on val",
        "recipe": settings.recipe.to_json(),
        "seed": settings.seed,
        **material.start,
        **({"dataset": material.dataset} if material.dataset else {}),
        "epoch": record["epoch"],
        "val": record["val"],
        "versions": versions(run_on),
    }
    preprocess = material.protocol.preprocess()
    return Checkpoint(settings.model, material.classes, preprocess, material.described, weights, provenance)


def versions(run_on: Execution) -> dict[str, Any]:
    """Return what a result may depend on besides the settings."""
    name = torch.cuda.get_device_name(run_on.device) if run_on.cuda else platform.processor() or platform.machine()
    return {
        "segfast_edge": segfast_edge.__version__,
        "torch": str(torch.__version__),
        "device": run_on.device.type,
        "device_name": name,
        "precision": run_on.precision,
        "threads": torch.get_num_threads(),
    }
