"""The request of one conversion."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.contract.manifest import OutputKind
from segfast_edge.export.common.default_lowering import default_lowering
from segfast_edge.export.common.ends import PLAIN, Ends
from segfast_edge.export.common.quantization import Quantization


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """An artifact to make, and its folder.

    ``lowering`` None takes the measured default. ``quantization`` None gives float32, or with ``half`` float16.
    ``command``, and the timings that a lowering was chosen by, go into the provenance.
    """

    format: str
    folder: Path
    output_kind: OutputKind = "labels"
    lowering: str | None = None
    overwrite: bool = False
    quantization: Quantization | None = None
    half: bool = False
    command: str = ""
    timings: Mapping[str, Any] | None = None
    ends: Ends = PLAIN

    @property
    def precision(self) -> str:
        """What the file will hold."""
        return "int8" if self.quantization else "float16" if self.half else "float32"

    @property
    def form(self) -> str:
        """The lowering asked for, or the measured default."""
        engine = self.quantization.engine if self.quantization else None
        return self.lowering or default_lowering(self.format, self.precision, engine)
