"""segfast-edge convert: from a checkpoint to artifacts that compute what torch computes."""

import argparse
import json
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segfast_edge.contract.manifest import Manifest
    from segfast_edge.export.convert import ExportRequest

HELP = "export a checkpoint for a runtime, and hold it to torch"
EXAMPLE = "segfast-edge convert runs/paper/best.pt --target openvino,tflite -o artifacts"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    from segfast_edge.export import formats

    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a .pt file that train wrote")
    parser.add_argument(
        "--target",
        "--format",
        required=True,
        metavar="FORMAT",
        help=f"one or several, separated by commas, of {', '.join(formats())}",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="DIR",
        help="artifact folder, or with several formats the folder of DIR/FORMAT (default: beside the checkpoint)",
    )
    parser.add_argument("--output", choices=("labels", "logits"), default="labels", help="what the graph gives")
    parser.add_argument("--lowering", metavar="NAME", help="form of transposed convolutions (default: by measurement)")
    parser.add_argument("--golden", type=Path, metavar="IMAGE", help="picture for the self-test (default: drawn)")
    parser.add_argument("--overwrite", action="store_true", help="replace an artifact that is there")
    parser.add_argument("--json", action="store_true", help="print the manifests as JSON")


def run(args: argparse.Namespace) -> int:
    """Convert to every format asked for and say how each compared with torch."""
    from rich.console import Console

    requests = _requests(args)

    from segfast_edge.export.convert import Source, convert
    from segfast_edge.weights import find

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside, it cleans up as after Ctrl-C
    with Console(stderr=True).status("reading the checkpoint") as status:
        source = Source(find(args.checkpoint), args.golden)
        made = {}
        for request in requests:
            made[request.folder] = convert(source, request, say=status.update)
    if args.json:
        documents = [{"artifact": str(folder), **manifest.to_json()} for folder, manifest in made.items()]
        print(json.dumps(documents, indent=2, ensure_ascii=False))
    else:
        _show(made)
    return 0


def _requests(args: argparse.Namespace) -> list["ExportRequest"]:
    """Return one request per format; a format or tool that is not there is refused before any work is done."""
    from segfast_edge.errors import ConversionError
    from segfast_edge.export import exporter

    names = list(dict.fromkeys(part.strip() for part in args.target.split(",") if part.strip()))
    if not names:
        raise ConversionError("--target names no format")
    for name in names:
        exporter(name)

    from segfast_edge.export.convert import ExportRequest  # after the check, because it needs torch

    command = shlex.join(["segfast-edge", *sys.argv[1:]])
    return [
        ExportRequest(
            name,
            _folder(args, name, alone=len(names) == 1),
            output_kind=args.output,
            lowering=args.lowering,
            overwrite=args.overwrite,
            command=command,
        )
        for name in names
    ]


def _folder(args: argparse.Namespace, name: str, *, alone: bool) -> Path:
    if args.out is None:
        checkpoint: Path = args.checkpoint
        return checkpoint.with_name(f"{checkpoint.stem}-{name}")
    out: Path = args.out
    return out if alone else out / name


def _show(made: dict[Path, "Manifest"]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="held to torch in a process without it, on the same frames")
    for column in ("artifact", "format", "executed"):
        table.add_column(column, overflow="fold")
    for column in ("logits off by", "labels alike", "lowering", "MB"):
        table.add_column(column, justify="right")
    for folder, manifest in made.items():
        parity = manifest.parity
        size = sum((folder / name).stat().st_size for name in manifest.files if not name.startswith("golden/"))
        table.add_row(
            str(folder),
            manifest.format,
            parity["executed_precision"],
            f"{parity['logits_max_abs_diff']:.2g}",
            f"{parity['label_agreement']:.3%}",
            manifest.provenance["lowering"],
            f"{size / 1e6:.2f}",
        )
    Console().print(table)
