"""One artifact about to be written: by whom, from which graph, with which manifest, into which folder."""

import datetime
from dataclasses import dataclass, replace
from pathlib import Path

from segfast_edge import __version__
from segfast_edge.contract.manifest import Manifest, OutputKind, TensorSpec
from segfast_edge.export.common.converter_packages import recorded_tools
from segfast_edge.export.common.exporter import Exporter
from segfast_edge.export.common.graph import Deployable
from segfast_edge.export.common.metadata import versions
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.progress import Announce


@dataclass(frozen=True, slots=True)
class Conversion:
    """The input of an exporter; ``draft`` is the manifest without the results of writing and comparing."""

    format: str
    writer: Exporter
    graph: Deployable
    draft: Manifest
    folder: Path
    announce: Announce

    def giving_logits(self, folder: Path) -> "Conversion":
        """Return the same conversion with logits for output, into another folder."""
        draft = replace(self.draft, output=_output(self.graph, "logits"), output_kind="logits")
        return replace(self, graph=self.graph.with_output("logits"), draft=draft, folder=folder)

    def export(self) -> Manifest:
        """Write the artifact in float; return its manifest, which is saved beside it."""
        return self.writer.export(self.graph, self.draft, self.folder).save(self.folder)


def begin(
    network: PreparedNetwork, request: ExportRequest, writer: Exporter, folder: Path, announce: Announce
) -> Conversion:
    """Take the graph in the form asked for, and write down what is known of the artifact before it exists."""
    ends = request.ends
    if request.quantization is not None:
        ends.refuse_unless_plain("an int8 file")
    graph = network.graph.with_output(request.output_kind, request.form, ends)
    draft = Manifest(
        format=request.format,
        input=TensorSpec("frames", ends.input_shape(graph.preprocess.size), ends.input_type, ends.input_layout),
        output=_output(graph, request.output_kind),
        output_kind=request.output_kind,
        preprocess=graph.preprocess,
        classes=graph.classes,
        precision=request.precision,
        provenance={
            **network.provenance,
            "lowering": request.form,
            **({} if request.timings is None else {"tuning": dict(request.timings)}),
            "versions": {"segfast-edge": __version__, **versions(recorded_tools(request.format, writer))},
            "command": request.command,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        },
    )
    return Conversion(request.format, writer, graph, draft, folder, announce)


def _output(graph: Deployable, kind: OutputKind) -> TensorSpec:
    size = graph.preprocess.size
    if kind == "labels":
        return TensorSpec(kind, (1, *size), "uint8", "NHW")
    if graph.ends.output_layout == "NCHW":
        return TensorSpec(kind, (1, len(graph.classes), *size), "float32", "NCHW")
    return TensorSpec(kind, (1, *size, len(graph.classes)), "float32", "NHWC")
