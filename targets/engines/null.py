"""No runtime at all: labels computed from the pixels, so that everything else can run anywhere and be tested."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.masks import RawOutput
from segfast_edge.contract.shared.images import Frame
from targets.common.session import Options


def runtime() -> ModuleType:
    """Return this module: there is nothing to import."""
    return sys.modules[__name__]


def load(_: Path, manifest: Manifest, __: Options) -> "NullSession":
    """Open any artifact; its model file is never read."""
    return NullSession(manifest)


class NullSession:
    """Label = (R + G + B) modulo the number of classes, at every pixel; logits are that label, one-hot."""

    def __init__(self, manifest: Manifest) -> None:
        self._classes = len(manifest.classes)
        self._kind = manifest.output_kind

    def run(self, batch: Frame) -> RawOutput:
        """Return the labels, or their one-hot logits."""
        labels: RawOutput = (batch.sum(axis=3, dtype=np.uint16) % self._classes).astype(np.uint8)
        if self._kind == "labels":
            return labels
        return np.asarray(np.eye(self._classes, dtype=np.float32)[labels])

    def facts(self) -> Mapping[str, Any]:
        """Nothing is executed but integer sums."""
        return {"executed_precision": "none", "versions": {"numpy": np.__version__}}
