"""The output of convert: agreement with torch, the executed precision, and what int8 lost at the gate."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from segfast_edge.contract.manifest import Manifest
    from segfast_edge.errors import SegfastError


def show_lost(error: "SegfastError", console: "Console") -> None:
    """Print IoU per class, before and after, if an error is that of the accuracy gate."""
    from rich.table import Table

    from segfast_edge.errors import AccuracyGateError

    if not isinstance(error, AccuracyGateError) or "iou" not in error.figures:
        return
    table = Table("class", "IoU float", "IoU int8", "change")
    for name, (before, after) in error.figures["iou"].items():
        known = before is not None and after is not None
        change = f"{after - before:+.4f}" if known else ""
        table.add_row(name, *("absent" if each is None else f"{each:.4f}" for each in (before, after)), change)
    console.print(table)


def show_missing(missing: Mapping[str, "SegfastError"]) -> None:
    """Print why formats could not be written."""
    from rich.table import Table

    from segfast_edge.cli._console import console

    if not missing:
        return
    table = Table(title="not written")
    table.add_column("format")
    table.add_column("why", overflow="fold")
    for name, error in missing.items():
        table.add_row(name, str(error))
    console().print(table)


def show(made: dict[Path, "Manifest"]) -> None:
    """Print a line for each artifact, if there is one: what executed it, and how it compared with torch."""
    from rich.table import Table

    from segfast_edge.cli._console import console

    if not made:
        return
    table = Table(title="held to torch in a process without it, on the same frames")
    for column in ("artifact", "format", "executed"):
        table.add_column(column, overflow="fold")
    gated = any("gate" in manifest.parity for manifest in made.values())
    agreed = any("calibration_agreement" in manifest.parity for manifest in made.values())
    extra = [*(["mIoU int8 / float"] if gated else []), *(["alike in calibration"] if agreed else [])]
    for column in ("logits off by", "labels alike", *extra, "lowering", "MB"):
        table.add_column(column, justify="right")
    for folder, manifest in made.items():
        parity = manifest.parity
        size = sum((folder / name).stat().st_size for name in manifest.files if not name.startswith("golden/"))
        table.add_row(
            str(folder),
            manifest.format,
            parity["executed_precision"],
            f"{parity['logits_max_abs_diff']:.2g}" if "logits_max_abs_diff" in parity else "",
            f"{parity['label_agreement']:.3%}",
            *([_gate(parity.get("gate"))] if gated else []),
            *([_agreement(parity.get("calibration_agreement"))] if agreed else []),
            manifest.provenance["lowering"],
            f"{size / 1e6:.2f}",
        )
    console().print(table)


def _gate(gate: Mapping[str, Any] | None) -> str:
    return "" if gate is None else f"{gate['int8_miou']:.4f} / {gate['float_miou']:.4f}"


def _agreement(record: Mapping[str, Any] | None) -> str:
    return "" if record is None else f"{record['label_agreement']:.3%}"


def show_layers(made: dict[Path, "Manifest"]) -> None:
    """Print for each artifact the precision that its layers with weights were executed in."""
    from rich.table import Table

    from segfast_edge.cli._console import console

    for folder, manifest in made.items():
        layers = manifest.parity.get("executed_layers")
        if layers is None:
            console().print(f"{folder}: its runtime does not report the precision of each layer", highlight=False)
            continue
        table = Table(title=f"{folder}: layers with weights as {manifest.parity['runtime']} executed them")
        table.add_column("layer", overflow="fold")
        table.add_column("precision")
        for row in layers:
            table.add_row(*row)
        console().print(table)
