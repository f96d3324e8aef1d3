"""A checkpoint: the weights, and everything needed to use them again, in one file."""

import io
import pickle
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.files import replacing_file
from segfast_edge.errors import ArtifactError, SegfastError
from segfast_edge.model import build

KIND = "segfast-edge checkpoint"
VERSION = 1
_USUAL_KEYS = ("state_dict", "model_state_dict", "model", "net", "weights")  # where others put a state dict


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights with the network's name, classes, preprocessing and protocol, and where they came from.

    ``network`` is a name that ``model.build`` takes, ``protocol`` the text that ``Protocol.describe`` gives,
    ``weights`` the network's state dict, ``provenance`` plain JSON values.
    """

    network: str
    classes: ClassSet
    preprocess: Preprocess
    protocol: str
    weights: dict[str, Tensor]
    provenance: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all.

        Raises:
            ArtifactError: the folder is not writable or the disk is full.
        """
        value = {
            "kind": KIND,
            "version": VERSION,
            "network": self.network,
            "classes": self.classes.to_json(),
            "preprocess": self.preprocess.to_json(),
            "protocol": self.protocol,
            "weights": {name: tensor.detach().cpu() for name, tensor in self.weights.items()},
            "provenance": self.provenance,
        }
        packed = io.BytesIO()  # by way of memory: torch's own writing hides a full disk's error, and names the file
        torch.save(value, packed)
        with replacing_file(path) as temporary:
            temporary.write_bytes(packed.getbuffer())

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint onto the CPU; nothing in the file is executed.

        Raises:
            ArtifactError: no file, truncated or damaged, not one of ours, of another version, or incomplete.
        """
        value = _read(path)
        if not isinstance(value, dict) or value.get("kind") != KIND:
            raise ArtifactError(f"{path} is not a segfast-edge checkpoint")
        if value.get("version") != VERSION:
            raise ArtifactError(f"{path} has checkpoint version {value.get('version')}; this release reads {VERSION}")
        try:
            checkpoint = cls(
                network=str(value["network"]),
                classes=ClassSet.from_json(value["classes"]),
                preprocess=Preprocess.from_json(value["preprocess"]),
                protocol=str(value["protocol"]),
                weights=dict(value["weights"]),
                provenance=dict(value["provenance"]),
            )
        except (SegfastError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(f"{path} is not a valid checkpoint: {type(error).__name__} {error}") from error
        for name, tensor in checkpoint.weights.items():
            if not isinstance(tensor, Tensor):
                raise ArtifactError(f"{path} is not a valid checkpoint: weight {name} is a {type(tensor).__name__}")
        return checkpoint

    def module(self) -> nn.Module:
        """Build the network with these weights, in evaluation mode on the CPU.

        A name of the form ``package.module:factory`` imports the user's own module from this machine.

        Raises:
            SegfastError: the network is unknown here.
            ArtifactError: the weights are not this network's at this number of classes.
        """
        network = build(self.network, len(self.classes))
        expected = network.state_dict()
        for name in [*expected, *self.weights]:
            theirs, ours = self.weights.get(name), expected.get(name)
            if theirs is None or ours is None or theirs.shape != ours.shape:
                raise ArtifactError(
                    f"the weights do not fit {self.network} with {len(self.classes)} classes: {name} is"
                    f" {_shape(theirs)} in the checkpoint and {_shape(ours)} in the network"
                )
        network.load_state_dict(self.weights)
        network.eval()  # whose own train() may return nothing
        return network


def plain_weights(path: Path) -> dict[str, Tensor] | None:
    """Return the weights in a file that torch.save wrote from a state dict; None if it is a checkpoint of ours.

    The state dict may lie under a usual key, and its names may begin with ``module.`` as DataParallel writes them.

    Raises:
        ArtifactError: no file, damaged, or without a state dict.
    """
    value = _read(path)
    if isinstance(value, dict) and value.get("kind") == KIND:
        return None
    for candidate in (value, *(value.get(key) for key in _USUAL_KEYS if isinstance(value, dict))):
        if isinstance(candidate, dict) and candidate and all(isinstance(each, Tensor) for each in candidate.values()):
            return {str(name).removeprefix("module."): tensor for name, tensor in candidate.items()}
    raise ArtifactError(f"{path} is neither a segfast-edge checkpoint nor a state dict of tensors")


def as_built(network: nn.Module, name: str, classes: ClassSet, preprocess: Preprocess) -> Checkpoint:
    """Return a checkpoint of a network that was trained elsewhere, as ``name`` gave it, under no protocol of ours."""
    weights = {key: value for key, value in network.state_dict().items() if isinstance(value, Tensor)}
    return Checkpoint(name, classes, preprocess, "", weights, {"weights": f"as {name} gives them"})


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a checkpoint of ours, or a state dict that torch saved, into a network; nothing in the file is executed.

    Raises:
        ArtifactError: no file, damaged, no state dict in it, or not of this network.
    """
    plain = plain_weights(path)
    weights = Checkpoint.load(path).weights if plain is None else plain
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
        raise ArtifactError(f"the weights in {path} do not fit the network: {' '.join(lines)[:400]}") from error


def _read(path: Path) -> Any:
    if not path.is_file():
        raise ArtifactError(f"no such checkpoint: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch writes checksums but does not hold the tensors it reads to them
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, ValueError) as error:
        raise ArtifactError(f"{path} is truncated, or is not a segfast-edge checkpoint") from error
    if damaged is not None:
        raise ArtifactError(f"{path} is damaged: {damaged} in it does not match its checksum")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ArtifactError(f"{path} is not a segfast-edge checkpoint; nothing in it was executed") from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path} is not a segfast-edge checkpoint: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _shape(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else "x".join(map(str, tensor.shape)) or "a scalar"
