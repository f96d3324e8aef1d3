"""segfast-edge convert: from a checkpoint to artifacts that compute what torch computes."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from segfast_edge.cli._own_network import named_options, own_network, own_options
from segfast_edge.cli._packages import converters

if TYPE_CHECKING:
    from segfast_edge.export.common.exporter import Exporter
    from segfast_edge.export.common.prepared import PreparedNetwork
    from segfast_edge.export.common.quantization import Quantization
    from segfast_edge.export.common.request import ExportRequest
    from segfast_edge.export.common.tuning import Tuning

HELP = "export a checkpoint to one or more formats and check each artifact against torch"
EXAMPLE = "segfast-edge convert runs/paper/best.pt --target openvino,tflite -o artifacts"
NEEDS = {"every format": ("torch",), **converters()}
MAX_DROP = 0.01  # of mIoU, which is a share
FIRST = ("checkpoint", "target", "out", "int8", "calibration", "data_root", "gate_data")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    from segfast_edge.contract.formats import format_named, format_names, half_formats, integer_formats

    by_format = {name: format_named(name) for name in format_names()}
    others = "; ".join(
        f"{name}: {', '.join(f.other_converters)}" for name, f in by_format.items() if f.other_converters
    )
    forms = "; ".join(f"{name}: {', '.join(f.integer_engines)}" for name, f in by_format.items() if f.integer_engines)
    parser.add_argument("checkpoint", nargs="?", type=Path, metavar="CHECKPOINT", help="a .pt file that train wrote")
    foreign = parser.add_argument_group("a network that was trained elsewhere, in place of a checkpoint")
    foreign.add_argument("--model", metavar="NAME", help="your own package.module:factory, weights included")
    own_options(foreign)
    foreign.add_argument(
        "--output-key",
        metavar="KEY",
        help="the part of a dictionary, tuple or list that holds the logits (default: out, logits, else the first)",
    )
    foreign.add_argument(
        "--upsample",
        choices=("bilinear", "nearest"),
        help="how to enlarge logits that are smaller than the picture (default: bilinear, which is then reported)",
    )
    parser.add_argument(
        "--target",
        "--format",
        required=True,
        metavar="FORMAT",
        help=f"one or more formats, separated by commas: {', '.join(by_format)}",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="DIR",
        help="artifact folder; with several formats, each goes into DIR/FORMAT (default: beside the checkpoint)",
    )
    parser.add_argument(
        "--graph-output",
        "--output",
        dest="output",
        choices=("labels", "logits"),
        default="labels",
        help="labels (one class id per pixel) or logits (one value per class and pixel); default labels",
    )
    parser.add_argument("--lowering", metavar="NAME", help="form of transposed convolutions (default: the fastest)")
    parser.add_argument(
        "--converter", metavar="NAME", help=f"third-party converter to use instead of the built-in one ({others})"
    )
    parser.add_argument(
        "--half",
        action="store_true",
        help=f"store weights in float16, and compute in it on processors that can ({', '.join(half_formats())})",
    )
    ends = parser.add_argument_group("float32 artifacts for another pipeline; the runner accepts them too")
    ends.add_argument(
        "--input-layout", choices=("NHWC", "NCHW"), default="NHWC", help="layout of the input picture (default NHWC)"
    )
    ends.add_argument(
        "--input-type",
        choices=("uint8", "float32"),
        default="uint8",
        help="data type of the input pixels, with values 0 to 255 (default uint8)",
    )
    ends.add_argument(
        "--output-layout", choices=("NHWC", "NCHW"), default="NHWC", help="layout of the logits (default NHWC)"
    )
    parser.add_argument("--layers", action="store_true", help="list the precision that each layer was executed in")
    parser.add_argument("--golden", type=Path, metavar="IMAGE", help="picture for the self-test (default: drawn)")
    tuning = parser.add_argument_group("tuning")
    tuning.add_argument("--tune", action="store_true", help="time every lowering on the device and keep the fastest")
    tuning.add_argument(
        "--tune-target", default="x86", metavar="NAME", help="kind of computer to tune for (default x86)"
    )
    tuning.add_argument("--tune-rounds", type=int, default=5, metavar="N", help="processes per lowering (default 5)")
    tuning.add_argument("--threads", type=int, default=0, metavar="N", help="threads to tune with (default: all)")
    tuning.add_argument("--host", metavar="USER@HOST", help="tune on this computer, over the system's ssh")
    tuning.add_argument("--install", action="store_true", help="install the runtime on the host, and keep it there")
    int8 = parser.add_argument_group("int8")
    int8.add_argument(
        "--int8", action="store_true", help=f"quantize to int8 ({', '.join(integer_formats())}); needs --calibration"
    )
    int8.add_argument("--engine", metavar="NAME", help=f"engine to write int8 for ({forms}; default the first)")
    int8.add_argument("--calibration", type=Path, metavar="LIST|DIR", help="frames to calibrate int8 with")
    int8.add_argument("--data-root", type=Path, metavar="DIR", help="root folder of the frames that LIST names")
    int8.add_argument("--subset-size", type=int, metavar="N", help="number of calibration frames (default 300, or all)")
    int8.add_argument("--gate-data", metavar="NAME", help="dataset on which int8 must keep the mIoU")
    int8.add_argument("--gate-root", type=Path, metavar="DIR", help="root folder of --gate-data (default: --data-root)")
    int8.add_argument("--gate-split", default="val", metavar="NAME", help="split of --gate-data (default val)")
    int8.add_argument(
        "--max-drop", type=float, default=MAX_DROP, metavar="X", help="mIoU that int8 may lose (default %(default)s)"
    )
    int8.add_argument(
        "--min-agreement",
        type=float,
        metavar="SHARE",
        help="without --gate-data: share of pixels that int8 must label as float does, on the calibration frames"
        " (default 0.95)",
    )
    int8.add_argument(
        "--search", action="store_true", help="if int8 loses more, keep as few layers as possible in float"
    )
    int8.add_argument("--drop-type", choices=("absolute", "relative"), default="absolute", help="unit of --max-drop")
    parser.add_argument(
        "--best-effort", action="store_true", help="exit with 0 also if some of several formats could not be written"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing artifact")
    parser.add_argument("--json", action="store_true", help="print the manifests as JSON")


def run(args: argparse.Namespace) -> int:
    """Convert to every format asked for and say how each compared with torch."""
    from rich.console import Console

    from segfast_edge.cli._conversion_view import show, show_layers, show_lost, show_missing
    from segfast_edge.cli._progress import status
    from segfast_edge.errors import SegfastError

    requests, tuning, by = _requests(args), _tuning(args), _other_converter(args)

    from segfast_edge.contract.shared.stopping import orderly
    from segfast_edge.export.convert import convert, convert_tuned

    console = Console(stderr=True)
    with (
        orderly(),
        TemporaryDirectory(prefix="segfast-model-") as folder,
        status("reading the checkpoint", console) as announce,
    ):
        source = _source(args, Path(folder))
        made, missing = {}, {}
        announce("comparing the graph with the network")
        assumed = source.assumed  # a network that no format can have is refused here, once
        for request in requests:
            try:
                if tuning is None:
                    made[request.folder] = convert(source, request, announce=announce, by=by)
                else:
                    made[request.folder] = convert_tuned(source, request, tuning, announce=announce)
            except SegfastError as error:
                show_lost(error, console)
                if len(requests) == 1:
                    raise
                missing[request.format] = error
    for assumption in assumed:
        console.print(f"assumed: {assumption}", highlight=False, markup=False, soft_wrap=True)
    if args.json:
        documents = [{"artifact": str(folder), **manifest.to_json()} for folder, manifest in made.items()]
        failures = [{"format": name, "error": str(error)} for name, error in missing.items()]
        print(json.dumps([*documents, *failures], indent=2, ensure_ascii=False))
    else:
        show(made)
        show_missing(missing)
        if args.layers:
            show_layers(made)
    args.options_paths = [folder.with_name(f"{folder.name}.convert.toml") for folder in made]
    return 1 if missing and not args.best_effort else 0


def _source(args: argparse.Namespace, folder: Path) -> "PreparedNetwork":
    """Return the checkpoint, or the network that ``--model`` names as its factory gives it, with a checkpoint of it."""
    from segfast_edge.export.common.prepared import PreparedNetwork
    from segfast_edge.export.common.reading import OutputChoice
    from segfast_edge.model import build
    from segfast_edge.model.checkpoint import as_built
    from segfast_edge.weights import find

    choice = OutputChoice(args.output_key, args.upsample)
    if args.model is None:
        return PreparedNetwork(find(args.checkpoint), args.golden, choice=choice)
    own = own_network(args)
    network = build(args.model, len(own.classes))
    described = as_built(network, args.model, own.classes, own.preprocess)
    return PreparedNetwork.as_given(network, described, folder, args.golden, choice=choice, assumed=own.assumed)


def _refuse_half_a_network(args: argparse.Namespace) -> None:
    from segfast_edge.errors import ConversionError

    if (args.checkpoint is None) == (args.model is None):
        raise ConversionError("name a CHECKPOINT, or with --model a network that was trained elsewhere, not both")
    if args.model is None and named_options(args):
        raise ConversionError(f"{', '.join(named_options(args))}: for --model only; a checkpoint already contains them")
    if args.model is not None and (not (args.classes or args.class_names) or args.out is None):
        raise ConversionError("--model needs --classes N or --class-names, and --out DIR for the artifacts")
    if args.model is not None and ":" not in args.model:
        raise ConversionError(
            f"--model {args.model} is not of the form package.module:factory; name a CHECKPOINT or shipped weights"
        )
    if args.model is not None and args.gate_data is not None:
        raise ConversionError(
            "--gate-data needs a CHECKPOINT of segfast-edge train, which contains its classes' names; with --model,"
            " int8 must label --min-agreement of the calibration frames' pixels as the float network does"
        )


def _requests(args: argparse.Namespace) -> list["ExportRequest"]:
    """Return one request per format; a format or tool that is not there is refused before any work is done."""
    from segfast_edge.contract.formats import format_names
    from segfast_edge.errors import ConversionError
    from segfast_edge.export import exporter

    _refuse_half_a_network(args)
    if args.output_layout == "NCHW" and args.output != "logits":
        raise ConversionError("--output-layout is for --graph-output logits; labels have no channels")
    names = list(dict.fromkeys(part.strip() for part in args.target.split(",") if part.strip()))
    if not names:
        raise ConversionError("--target names no format")
    for name in names:
        if len(names) == 1 or name not in format_names():  # of several, each is tried
            exporter(name)

    from segfast_edge.export.common.ends import Ends
    from segfast_edge.export.common.request import ExportRequest  # after the check, because it needs torch

    _refuse_half_precision(args, names)
    quantization = _quantization(args)
    command = shlex.join(["segfast-edge", *sys.argv[1:]])
    return [
        ExportRequest(
            name,
            _folder(args, name, alone=len(names) == 1),
            output_kind=args.output,
            lowering=args.lowering,
            overwrite=args.overwrite,
            quantization=quantization,
            half=args.half,
            command=command,
            ends=Ends(args.input_layout, args.input_type, args.output_layout),
        )
        for name in names
    ]


def _refuse_half_precision(args: argparse.Namespace, names: list[str]) -> None:
    from segfast_edge.contract.formats import half_formats
    from segfast_edge.errors import ConversionError

    if not args.half:
        return
    if args.int8 or args.converter is not None:
        raise ConversionError(
            f"--half goes with neither --int8 nor --converter; leave {'--half' if args.int8 else '--converter'} out"
        )
    for name in names:
        if name not in half_formats():
            raise ConversionError(
                f"format {name} is not written in float16; --half works with {', '.join(half_formats())}"
            )


def _other_converter(args: argparse.Namespace) -> "Exporter | None":
    """Return the converter to use in place of ours, if one was asked for."""
    from segfast_edge.contract.formats import format_named, format_names
    from segfast_edge.errors import ConversionError
    from segfast_edge.export.converters import converter

    if args.converter is None:
        return None
    known = [name for name in format_names() if args.converter in format_named(name).other_converters]
    if known and (args.target not in known or args.int8 or args.tune):
        raise ConversionError(
            f"--converter {args.converter} is for --target {' or '.join(known)}, without --int8 and without --tune"
        )
    return converter(args.converter)


def _tuning(args: argparse.Namespace) -> "Tuning | None":
    """Return how to tune; flags that only tuning has are refused without it."""
    from segfast_edge.errors import ConversionError
    from segfast_edge.export.common.tuning import Tuning
    from segfast_edge.profiling.timer import Timer

    if not args.tune:
        for flag in ("host", "threads", "install"):
            if getattr(args, flag):
                raise ConversionError(f"--{flag} is for --tune; to measure an artifact run: segfast-edge profile")
        return None
    if args.lowering is not None:
        raise ConversionError(f"--tune chooses the lowering; leave --lowering {args.lowering} out")
    return Tuning(Timer(args.tune_target, args.threads, args.host, args.install), args.tune_rounds)


def _quantization(args: argparse.Namespace) -> "Quantization | None":
    """Return what was asked for as int8; flags that only int8 has are refused without it."""
    from segfast_edge.data.calibration import Calibration
    from segfast_edge.errors import ConversionError
    from segfast_edge.export.common.quantization import Agreement, Gate, Quantization
    from segfast_edge.prediction.evaluate import GroundTruth

    if not args.int8:
        for flag in ("calibration", "subset_size", "gate_data", "engine", "min_agreement"):
            if getattr(args, flag) is not None:
                raise ConversionError(f"--{flag.replace('_', '-')} is for --int8")
        return None
    if args.calibration is None:
        raise ConversionError("--int8 needs --calibration: a list, a shipped list's name, or a folder of pictures")
    gate: Gate | Agreement = Agreement() if args.min_agreement is None else Agreement(args.min_agreement)
    if args.gate_data is not None and args.min_agreement is not None:
        raise ConversionError("--min-agreement is for int8 without labels; with --gate-data set --max-drop")
    if args.gate_data is not None:
        truth = GroundTruth(args.gate_data, args.gate_root or args.data_root, args.gate_split)
        gate = Gate(truth, args.max_drop, args.drop_type)
    calibration = Calibration.open(args.calibration, args.data_root)
    return Quantization(calibration, args.subset_size, gate, args.search, args.engine)


def _folder(args: argparse.Namespace, name: str, *, alone: bool) -> Path:
    if args.out is None:
        checkpoint: Path = args.checkpoint
        return checkpoint.with_name(f"{checkpoint.stem}-{name}{'-int8' if args.int8 else '-half' if args.half else ''}")
    out: Path = args.out
    return out if alone else out / name
