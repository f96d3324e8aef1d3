"""What convert prints: how artifacts compared with torch, what executed them, and what a closed gate saw lost."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from segfast_edge.contract.manifest import Manifest


@contextlib.contextmanager
def table_of_what_was_lost(console: "Console") -> Iterator[None]:
    """Print IoU per class, before and after, where the accuracy gate closes."""
    from rich.table import Table

    from segfast_edge.errors import AccuracyGateError

    try:
        yield
    except AccuracyGateError as error:
        table = Table("class", "IoU float", "IoU int8", "change")
        for name, (before, after) in error.figures["iou"].items():
            known = before is not None and after is not None
            change = f"{after - before:+.4f}" if known else ""
            table.add_row(name, *("absent" if each is None else f"{each:.4f}" for each in (before, after)), change)
        console.print(table)
        raise


def show(made: dict[Path, "Manifest"]) -> None:
    """Print a line for each artifact: what executed it, and how it compared with torch."""
    from rich.table import Table

    from segfast_edge.cli._console import console

    table = Table(title="held to torch in a process without it, on the same frames")
    for column in ("artifact", "format", "executed"):
        table.add_column(column, overflow="fold")
    gated = any("gate" in manifest.parity for manifest in made.values())
    for column in ("logits off by", "labels alike", *(["mIoU int8 / float"] if gated else []), "lowering", "MB"):
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
            manifest.provenance["lowering"],
            f"{size / 1e6:.2f}",
        )
    console().print(table)


def _gate(gate: Mapping[str, Any] | None) -> str:
    return "" if gate is None else f"{gate['int8_miou']:.4f} / {gate['float_miou']:.4f}"


def show_layers(made: dict[Path, "Manifest"]) -> None:
    """Print for each artifact the precision that its layers with weights were executed in."""
    from rich.table import Table

    from segfast_edge.cli._console import console

    for folder, manifest in made.items():
        layers = manifest.parity.get("executed_layers")
        if layers is None:
            console().print(f"{folder}: its runtime does not tell the precision of a layer", highlight=False)
            continue
        table = Table(title=f"{folder}: layers with weights as {manifest.parity['runtime']} executed them")
        table.add_column("layer", overflow="fold")
        table.add_column("precision")
        for row in layers:
            table.add_row(*row)
        console().print(table)
