"""Importing torchvision if its compiled operators do not fit the torch beside it.

torchvision's wheels are built for one torch build, usually a CUDA one. Beside the CPU build of the same torch version
its compiled library does not load, which it tolerates, but then ``import torchvision`` still fails with
``RuntimeError: operator torchvision::nms does not exist``: it gives shape rules for operators that were never
declared. Declaring these (without a kernel: calling them would still fail) is enough for the networks, which use none
of torchvision's own operators.
"""

import importlib
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import TypeVar

import torch

from segfast_edge.errors import SegfastError

T = TypeVar("T")
_UNDECLARED = ("nms", "qnms")
_declared: list[torch.library.Library] = []  # a declaration lasts as long as its library object


def import_torchvision(name: str = "torchvision") -> ModuleType:
    """Import torchvision or one of its modules, as ``with_operators`` does.

    Raises:
        SegfastError: torchvision is not installed.
    """
    try:
        return with_operators(partial(importlib.import_module, name))
    except ModuleNotFoundError as error:
        raise SegfastError("torchvision is missing. Run: pip install 'segfast-edge[train]'") from error


def with_operators(imports: Callable[[], T]) -> T:
    """Return what ``imports`` gives; if torchvision's operators are missing, declare them and call it again."""
    try:
        return imports()
    except RuntimeError as error:
        if _declared or "operator torchvision::" not in str(error):
            raise
    for half_imported in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[half_imported]
    library = torch.library.Library("torchvision", "DEF")
    for operator in _UNDECLARED:
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
    return imports()
