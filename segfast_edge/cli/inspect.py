"""segfast-edge inspect: what an artifact, a checkpoint or a model file holds."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from segfast_edge.cli._packages import converters

if TYPE_CHECKING:
    from segfast_edge.inspection import Inspection, Port

HELP = "show inputs, outputs, operators, cost, precision, preprocessing and provenance of a model, ours or not"
EXAMPLE = "segfast-edge inspect artifacts/openvino"
NEEDS = {"checkpoints": ("torch",), **{name: each[:1] for name, each in converters().items() if " " not in name}}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    from segfast_edge.contract.formats import format_named, format_names

    endings = ", ".join(Path(format_named(name).model_file).suffix for name in format_names())
    parser.add_argument(
        "subject", type=Path, metavar="FILE_OR_FOLDER", help=f"an artifact folder, a .pt checkpoint, or {endings}"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print what is in it."""
    from segfast_edge.inspection import inspect
    from segfast_edge.weights import find

    found = inspect(args.subject if args.subject.exists() else find(args.subject))
    if args.json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        _show(found)
    return 0


def _show(found: "Inspection") -> None:
    from rich.table import Table

    from segfast_edge.cli._console import console

    table = Table(title=f"{found.path}: {found.kind}, {found.format}", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    file = found.file
    rows = [
        ("inputs", "\n".join(map(_port, file.inputs))),
        ("outputs", "\n".join(map(_port, file.outputs))),
        ("operators", ", ".join(f"{count} {name}" for name, count in file.operators.items())),
        ("multiply-accumulates", "not known" if file.macs is None else f"{file.macs:,}"),
        ("precision", found.precision),
        ("weights", ", ".join(f"{count:,} {name}" for name, count in file.weights.items())),
        ("size", f"{found.bytes / 1e6:.2f} MB"),
        ("preprocessing", _preprocessing(found)),
        ("classes", "" if found.classes is None else ", ".join(found.classes["names"])),
        ("proof", _proof(found)),
        *((f"provenance: {name}", _short(value)) for name, value in found.provenance.items()),
        *((f"file: {name}", _short(value)) for name, value in file.metadata.items() if found.preprocess is None),
    ]
    for name, text in rows:
        if text:
            table.add_row(name, text)
    console().print(table, highlight=False, markup=False)


def _port(port: "Port") -> str:
    return f"{port.name}: {port.dtype} {' x '.join(map(str, port.shape))}"


def _preprocessing(found: "Inspection") -> str:
    if found.preprocess is None:
        return "not known: the file does not say"
    told = {**found.preprocess}
    size = f"{told.pop('height')}x{told.pop('width')}"
    return ", ".join([size, *(f"{name} {_short(value)}" for name, value in told.items())])


def _proof(found: "Inspection") -> str:
    if "label_agreement" not in found.parity:
        return ""
    parity = found.parity
    return f"{parity['label_agreement']:.3%} of labels as torch's, {parity['frames']} frames, {parity['runtime']}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]}... (all of it: --json)"
