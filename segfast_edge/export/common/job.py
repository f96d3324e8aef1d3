"""One conversion: what it starts from, what is asked for, and the manifest as far as it is known before writing."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from segfast_edge import __version__
from segfast_edge.contract.manifest import Manifest, OutputKind, TensorSpec
from segfast_edge.contract.shared.files import sha256
from segfast_edge.contract.shared.images import read_frame
from segfast_edge.errors import ArtifactError
from segfast_edge.export import Exporter, recorded_tools
from segfast_edge.export.common.default_lowering import default_lowering
from segfast_edge.export.common.graph import Deployable, deployable
from segfast_edge.export.common.metadata import versions
from segfast_edge.export.common.oracle import Oracle
from segfast_edge.export.common.parity import (
    CONTINUOUS,
    DISCONTINUOUS,
    Reference,
    Thresholds,
    parity_frames,
    scene_frame,
)
from segfast_edge.export.common.proof import prove
from segfast_edge.export.common.quantization import Quantization
from segfast_edge.export.common.reading import ANY_OUTPUT, OutputChoice
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.progress import Announce


class Source:
    """A checkpoint made ready once for any number of formats.

    ``golden`` is a picture that goes into the artifact and through it; if it is None, a street scene is drawn.
    ``network`` is the module that the checkpoint was made from, if the user handed one in, and ``choice`` what the
    user says about its output.
    """

    def __init__(
        self,
        checkpoint: Path,
        golden: Path | None = None,
        network: nn.Module | None = None,
        choice: OutputChoice = ANY_OUTPUT,
    ) -> None:
        self.path = checkpoint
        self.checkpoint = Checkpoint.load(checkpoint)
        self.sha256 = sha256(checkpoint)
        preprocess = self.checkpoint.preprocess
        self._network, self._choice = network, choice
        self._golden = scene_frame(preprocess) if golden is None else read_frame(golden)

    def refuse_changed(self) -> None:
        """Raise ArtifactError where the file is not the one that was read: a training may have replaced it."""
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
        return self.graph.reading.assumed

    @cached_property
    def expected(self) -> Reference:
        """The frames that parity is measured on, and what the untouched network makes of them."""
        flat = not self.graph.discontinuous
        return self.oracle.reference(parity_frames(self._golden, self.checkpoint.preprocess, flat=flat))

    @property
    def thresholds(self) -> Thresholds:
        """What counts as the same for this network."""
        return DISCONTINUOUS if self.graph.discontinuous else CONTINUOUS

    @cached_property
    def _untouched(self) -> nn.Module:
        return self.checkpoint.module() if self._network is None else self._network


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to make and where.

    ``lowering`` None takes the measured default, ``quantization`` None gives float32. ``command``, and the timings that
    a lowering was chosen by, go into the provenance.
    """

    format: str
    folder: Path
    output_kind: OutputKind = "labels"
    lowering: str | None = None
    overwrite: bool = False
    quantization: Quantization | None = None
    command: str = ""
    timings: Mapping[str, Any] | None = None

    @property
    def precision(self) -> str:
        """What the file will hold."""
        return "int8" if self.quantization else "float32"

    @property
    def form(self) -> str:
        """The lowering asked for, or the measured default."""
        engine = self.quantization.engine if self.quantization else None
        return self.lowering or default_lowering(self.format, self.precision, engine)


@dataclass(frozen=True, slots=True)
class Job:
    """A request on its way: who writes it, into which folder, and who hears of each step."""

    source: Source
    request: ExportRequest
    writer: Exporter
    folder: Path
    announce: Announce

    def graph(self, output_kind: OutputKind | None = None) -> Deployable:
        """Return the graph to write, with the lowering asked for."""
        graph = self.source.graph.with_output(output_kind or self.request.output_kind)
        graph.lowering = self.request.form
        return graph

    def prove(self) -> None:
        """Hold the graph, as it is and in the form asked for, to the untouched network.

        Raises:
            ParityError: they differ; the first module to blame is named.
        """
        source, graph = self.source, self.graph()
        for each in (graph, graph.lowered()) if graph.lowering != "native" else (graph,):
            prove(each, source.oracle, source.expected, source.thresholds)

    def draft(self, output_kind: OutputKind | None = None) -> Manifest:
        """Return the manifest without what only writing and comparing can tell."""
        checkpoint, kind = self.source.checkpoint, output_kind or self.request.output_kind
        size = checkpoint.preprocess.size
        if kind == "labels":
            output = TensorSpec(kind, (1, *size), "uint8", "NHW")
        else:
            output = TensorSpec(kind, (1, *size, len(checkpoint.classes)), "float32", "NHWC")
        return Manifest(
            format=self.request.format,
            input=TensorSpec("frames", (1, *size, 3), "uint8", "NHWC"),
            output=output,
            output_kind=kind,
            preprocess=checkpoint.preprocess,
            classes=checkpoint.classes,
            precision=self.request.precision,
            provenance={
                "network": checkpoint.network,
                "protocol": checkpoint.protocol,
                "checkpoint": self.source.path.name,
                "checkpoint_sha256": self.source.sha256,
                "training": checkpoint.provenance,
                "lowering": self.request.form,
                "assumed": list(self.source.assumed),
                **({} if self.request.timings is None else {"tuning": dict(self.request.timings)}),
                "versions": {"segfast-edge": __version__, **versions(recorded_tools(self.request.format, self.writer))},
                "command": self.request.command,
                "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            },
        )
