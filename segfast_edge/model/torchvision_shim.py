"""Importing torchvision where its compiled operators do not fit the torch beside it.

torchvision's wheels are built for one torch build, usually a CUDA one. Beside the CPU build of the same torch version
its compiled library does not load, which it tolerates, but then ``import torchvision`` fails all the same with
``RuntimeError: operator torchvision::nms does not exist``: it gives shape rules for operators that were never
declared. Declaring these (without a kernel: calling them would still fail) is enough for the networks, which use none
of torchvision's own operators.
"""

import importlib
import sys
from types import ModuleType

import torch

from segfast_edge.errors import SegfastError

_UNDECLARED = ("nms", "qnms")
_declared: list[torch.library.Library] = []  # a declaration lasts as long as its library object


def import_torchvision(name: str = "torchvision") -> ModuleType:
    """Import torchvision or one of its modules; declare the missing operators only where the plain import fails.

    Raises:
        SegfastError: torchvision is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SegfastError("torchvision is missing. Run: pip install 'segfast-edge[train]'") from error
    except RuntimeError:
        if _declared:
            raise
    for half_imported in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[half_imported]
    library = torch.library.Library("torchvision", "DEF")
    for operator in _UNDECLARED:
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
    return importlib.import_module(name)
