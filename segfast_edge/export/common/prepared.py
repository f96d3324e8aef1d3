"""The start of a conversion: a network read once, its graph, and the outputs of the untouched network."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from segfast_edge.contract.shared.files import sha256
from segfast_edge.contract.shared.images import read_frame
from segfast_edge.errors import ArtifactError
from segfast_edge.export.common.graph import Deployable, deployable
from segfast_edge.export.common.oracle import Oracle
from segfast_edge.export.common.parity import (
    CONTINUOUS,
    DISCONTINUOUS,
    Reference,
    Thresholds,
    parity_frames,
    scene_frame,
)
from segfast_edge.export.common.reading import ANY_OUTPUT, OutputChoice
from segfast_edge.model.checkpoint import Checkpoint


class PreparedNetwork:
    """A checkpoint made ready once for any number of formats.

    ``golden`` is a picture that goes into the artifact and through it; if it is None, a street scene is drawn.
    ``network`` is the module that the checkpoint was made from, if the user handed one in, and ``choice`` what the
    user says about its output. ``assumed`` is what the user did not say about its input and classes.
    """

    def __init__(
        self,
        checkpoint: Path,
        golden: Path | None = None,
        network: nn.Module | None = None,
        choice: OutputChoice = ANY_OUTPUT,
        assumed: Sequence[str] = (),
    ) -> None:
        self.path = checkpoint
        self.checkpoint = Checkpoint.load(checkpoint)
        self.sha256 = sha256(checkpoint)
        preprocess = self.checkpoint.preprocess
        self._network, self._choice, self._assumed = network, choice, tuple(assumed)
        self._golden = scene_frame(preprocess) if golden is None else read_frame(golden)

    @classmethod
    def as_given(
        cls, network: nn.Module, described: Checkpoint, folder: Path, golden: Path | None, **said: Any
    ) -> "PreparedNetwork":
        """Return a network that was trained elsewhere, held to itself and not to the checkpoint put into ``folder``.

        ``said`` is ``choice`` and ``assumed``.
        """
        path = folder / f"{described.network.rpartition(':')[2]}.pt"
        described.save(path)
        return cls(path, golden, network, **said)

    def refuse_changed(self) -> None:
        """Raise ArtifactError if the file is not the one that was read: a training may have replaced it."""
        if not self.path.is_file() or sha256(self.path) != self.sha256:
            raise ArtifactError(f"{self.path} changed while it was being converted; convert a copy of it")

    @cached_property
    def graph(self) -> Deployable:
        """The graph to deploy, its transposed convolutions as they are; made from a copy of the untouched network."""
        return deployable(self.checkpoint, network=self._untouched, choice=self._choice)

    @cached_property
    def oracle(self) -> Oracle:
        """The untouched network, which is first run when the graph has been made from it."""
        reading = self.graph.reading
        return Oracle(self._untouched, self.checkpoint.preprocess, reading)

    @property
    def assumed(self) -> Sequence[str]:
        """What was assumed about the network, a sentence each, and should be shown to the user."""
        return [*self._assumed, *self.graph.reading.assumed]

    @cached_property
    def expected(self) -> Reference:
        """The frames that parity is measured on, and what the untouched network makes of them."""
        flat = not self.graph.discontinuous
        return self.oracle.reference(parity_frames(self._golden, self.checkpoint.preprocess, flat=flat))

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the network came from, for the manifest."""
        return {
            "network": self.checkpoint.network,
            "protocol": self.checkpoint.protocol,
            "checkpoint": self.path.name,
            "checkpoint_sha256": self.sha256,
            "training": self.checkpoint.provenance,
            "assumed": list(self.assumed),
        }

    @property
    def thresholds(self) -> Thresholds:
        """What counts as the same for this network."""
        return DISCONTINUOUS if self.graph.discontinuous else CONTINUOUS

    @cached_property
    def _untouched(self) -> nn.Module:
        """Without gradients, which tracing refuses: a forward that was replaced on the instance reads these weights."""
        network = self.checkpoint.module() if self._network is None else self._network
        return network.requires_grad_(False)
