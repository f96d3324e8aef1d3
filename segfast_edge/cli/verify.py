"""segfast-edge verify: an artifact held to its network once more."""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from segfast_edge.cli._packages import ENGINE

if TYPE_CHECKING:
    from segfast_edge.export.common.prepared import PreparedNetwork
    from segfast_edge.export.verify import Verification

HELP = "repeat a conversion's proof: an artifact against the network that it was made of"
EXAMPLE = "segfast-edge verify artifacts/openvino --against runs/paper/best.pt --layers"
NEEDS = {"the network": ("torch",), "the artifact": (ENGINE,)}
EXIT_DIFFERENT = 4


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("artifact", type=Path, metavar="ARTIFACT", help="an artifact folder")
    parser.add_argument(
        "--against",
        required=True,
        metavar="NETWORK",
        help="package.module:factory, a checkpoint, or shipped weights",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="a state dict for what the factory gives, or a checkpoint of ours"
    )
    parser.add_argument("--output-key", metavar="KEY", help="the part of the network's output that holds the logits")
    parser.add_argument("--upsample", choices=("bilinear", "nearest"), help="how smaller logits were enlarged")
    parser.add_argument(
        "--layers", action="store_true", help="also compare layer by layer, if the format's runtime shows its layers"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Compare, print the figures, and return 4 if the artifact does not compute what the network computes."""
    from rich.console import Console

    from segfast_edge.export.verify import verify

    console = Console(stderr=True)
    with TemporaryDirectory(prefix="segfast-model-") as folder:
        with console.status("comparing"):
            source = _source(args, Path(folder))
            found = verify(args.artifact, source, layers=args.layers)
        assumed = source.assumed
    for assumption in assumed:
        console.print(f"assumed: {assumption}", highlight=False, markup=False, soft_wrap=True)
    if args.json:
        print(json.dumps({"artifact": str(args.artifact), "against": args.against, **found.to_json()}, indent=2))
    else:
        _show(found, args)
    return 0 if found.holds else EXIT_DIFFERENT


def _source(args: argparse.Namespace, folder: Path) -> "PreparedNetwork":
    from segfast_edge.contract.manifest import Manifest
    from segfast_edge.errors import ConversionError
    from segfast_edge.export.common.prepared import PreparedNetwork
    from segfast_edge.export.common.reading import OutputChoice
    from segfast_edge.export.verify import golden_frame
    from segfast_edge.model import build
    from segfast_edge.model.checkpoint import as_built, load_weights
    from segfast_edge.weights import find

    manifest = Manifest.load(args.artifact)
    golden, choice = golden_frame(args.artifact), OutputChoice(args.output_key, args.upsample)
    if ":" not in args.against or Path(args.against).exists():
        if args.weights is not None:
            raise ConversionError("--weights is for --against package.module:factory; a checkpoint has its own")
        return PreparedNetwork(find(Path(args.against)), golden, choice=choice)
    network = build(args.against, len(manifest.classes))
    if args.weights is not None:
        load_weights(network, args.weights)
    described = as_built(network, args.against, manifest.classes, manifest.preprocess)
    return PreparedNetwork.as_given(network, described, folder, golden, choice=choice)


def _show(found: "Verification", args: argparse.Namespace) -> None:
    from segfast_edge.cli._console import console

    screen, figures = console(), found.found
    if args.layers:
        _show_layers(found)
    verdict = "computes" if found.holds else "does NOT compute"
    logits = "" if figures.largest is None else f", logits off by {figures.largest:.2g} (allowed {figures.allowed:.2g})"
    needed = found.needed.get("label_agreement_worst_frame")
    least = f"{found.needed['label_agreement']:.3%} on average" if needed is None else f"{needed:.1%} in each"
    for line in (
        f"{args.artifact} {verdict} what {args.against} computes",
        f"{figures.frames} frames in {figures.session['executed_precision']}: {figures.agreement:.3%} of labels alike,"
        f" {figures.worst_agreement:.3%} in the worst frame (needed: {least}){logits}",
    ):
        screen.print(line, highlight=False, markup=False, soft_wrap=True)


def _show_layers(found: "Verification") -> None:
    from rich.table import Table

    from segfast_edge.cli._console import console

    table = Table(title="on the golden frame, in the order of execution")
    table.add_column("layer", overflow="fold")
    table.add_column("kind")
    for column in ("mean squared error", "SNR, dB", "cosine"):
        table.add_column(column, justify="right")
    for each in found.layers:
        exact = "exact" if each.mean_squared_error == 0 else "undefined"
        snr = exact if each.snr_db is None else f"{each.snr_db:.1f}"
        cosine = "undefined" if each.cosine is None else f"{each.cosine:.6f}"
        table.add_row(each.layer, each.kind, f"{each.mean_squared_error:.3g}", snr, cosine)
    console().print(table)
    if found.unseen:
        line = f"not in the file by themselves, or called more than once: {', '.join(found.unseen)}"
        console().print(line, highlight=False, markup=False, soft_wrap=True)
