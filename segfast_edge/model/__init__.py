"""Networks and checkpoints. A network is a file in ``zoo/`` with ``build(classes) -> nn.Module``.

Every network takes float32 NCHW, normalised by ``normalise.Normalise``, of any height and width, and gives logits
N x classes x H x W at the same height and width. Nothing here imports torch before a network is built.
"""

import ast
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from segfast_edge.contract.classes import MAX_CLASSES
from segfast_edge.contract.shared.found import names_in
from segfast_edge.errors import SegfastError, unknown
from segfast_edge.own_code import own_function

if TYPE_CHECKING:
    from torch import nn

_FOLDER = Path(__file__).parent / "zoo"


def networks() -> list[str]:
    """Return the names of the networks that come with the package."""
    return names_in(_FOLDER)


def description(name: str) -> str:
    """Return the first line of a network's docstring, read without importing it.

    Raises:
        SegfastError: no network of that name comes with the package.
    """
    if name not in networks():
        raise SegfastError(unknown("model", name, networks()))
    text = ast.get_docstring(ast.parse((_FOLDER / f"{name}.py").read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")


def build(name: str, classes: int) -> "nn.Module":
    """Build a network by name, or by the user's own ``package.module:factory``, where ``factory(classes)`` gives it.

    The user's module is looked for on the import path and in the current folder.

    Raises:
        SegfastError: no such network, a factory that is not there or gives no module, or a class count out of range.
    """
    if not 2 <= classes <= MAX_CLASSES:
        raise SegfastError(f"got {classes} classes; expected 2 to {MAX_CLASSES}")
    if ":" in name:
        return _build_foreign(name, classes)
    if name not in networks():
        raise SegfastError(unknown("model", name, networks()) + ", or your own package.module:factory")
    network: nn.Module = importlib.import_module(f"{__name__}.zoo.{name}").build(classes)
    return network


def _build_foreign(name: str, classes: int) -> "nn.Module":
    from torch import nn  # a light command may ask for a network that is not there, and gets its answer fast

    from segfast_edge.model.torchvision_shim import with_operators

    network = with_operators(lambda: _made(name, classes))  # many a network imports torchvision
    if not isinstance(network, nn.Module):
        raise SegfastError(f"model '{name}' gave a {type(network).__name__}; expected a torch.nn.Module")
    return network


def _made(name: str, classes: int) -> object:
    made: object = own_function("model", name, "factory(classes)")(classes)
    return made
