"""segfast-edge import: a finished model file of somebody else as an artifact."""

import argparse
import json
import shlex
import sys
from pathlib import Path

from segfast_edge.cli._own_network import own_network, own_options
from segfast_edge.cli._packages import ENGINE

HELP = "make an artifact of a finished .onnx or .xml file, and hold it to the bare file in its own runtime"
EXAMPLE = "segfast-edge import model.onnx --size 360x480 --mean 0.5 --std 0.5 --classes 12 -o artifacts/theirs"
NEEDS = {"importing": ("torch", ENGINE)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="takes float32 1 x 3 x H x W, gives logits")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="the artifact folder")
    own_options(parser.add_argument_group("what the file takes and tells apart"))
    parser.add_argument("--output-key", metavar="NAME", help="the output that holds the logits (default: the first)")
    parser.add_argument("--upsample", choices=("bilinear", "nearest"), help="how to enlarge smaller logits")
    parser.add_argument("--golden", type=Path, metavar="IMAGE", help="picture for the self-test (default: drawn)")
    parser.add_argument("--overwrite", action="store_true", help="replace an artifact that is there")
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON")


def run(args: argparse.Namespace) -> int:
    """Import the file and say how it compared with itself."""
    from rich.console import Console

    own = own_network(args)

    from segfast_edge.export.common.reading import OutputChoice
    from segfast_edge.export.importing import ImportRequest, import_file

    console = Console(stderr=True)
    request = ImportRequest(
        args.file, args.out, own.preprocess, own.classes, OutputChoice(args.output_key, args.upsample), args.golden,
        own.assumed, shlex.join(["segfast-edge", *sys.argv[1:]]), args.overwrite,
    )  # fmt: skip
    with console.status("importing"):
        manifest = import_file(request)
    for assumption in manifest.provenance["assumed"]:
        console.print(f"assumed: {assumption}", highlight=False, markup=False, soft_wrap=True)
    if args.json:
        print(json.dumps({"artifact": str(args.out), **manifest.to_json()}, indent=2, ensure_ascii=False))
        return 0
    parity = manifest.parity
    print(
        f"{args.out}: {parity['label_agreement']:.3%} of labels as {args.file} gives them, logits off by"
        f" {parity['logits_max_abs_diff']:.2g}, {parity['frames']} frames, {parity['runtime']}"
    )
    return 0
