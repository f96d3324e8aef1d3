"""The runner's command line: ``python -m targets TARGET stream`` in a checkout, ``run.py`` in a bundle."""

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from segfast_edge.contract.profile_options import DEVICE_HELP, PRECISION_HELP
from segfast_edge.contract.shared.allocator import bound_arenas
from segfast_edge.contract.shared.files import check_writable
from segfast_edge.contract.shared.images import MAX_PIXELS as MAX_FILE_PIXELS
from segfast_edge.errors import DataError
from targets.common.arguments import Parser
from targets.common.session import Options
from targets.common.target import Target
from targets.runner.decoding import MAX_PIXELS, PictureRules
from targets.runner.degradation import Limits
from targets.runner.drivable import drivable_labels
from targets.runner.inputs import InputOptions, open_input
from targets.runner.inputs import forms as source_forms
from targets.runner.journal import write_log, write_what_was_held
from targets.runner.main_loop import Service, signals
from targets.runner.model import Model, ModelChoice, open_model
from targets.runner.output_thread import Output
from targets.runner.outputs import OutputContext, open_output
from targets.runner.outputs import forms as output_forms
from targets.runner.pipeline import Pipeline, PipelineSettings
from targets.runner.systemd_notify import Notifier
from targets.runner.telemetry import Telemetry

log = logging.getLogger("segfast.runner")

_ENGINE_BUILD_S = (
    600.0  # TensorRT builds two engines at most at a start; killed before it is done, it would begin again
)
TOKEN_VARIABLE = "SEGFAST_TOKEN"  # noqa: S105 - the name of a variable


def engine_arguments(parser: Parser) -> None:
    """Add how the artifact is run, for a command line that has not done so."""
    parser.add_argument("--threads", type=int, default=0, help="threads of the engine (default: all cores)")
    parser.add_argument("--engine", metavar="NAME", help="engine to use instead of the target's choice")
    parser.add_argument("--precision", metavar="P", help=PRECISION_HELP)
    parser.add_argument("--device", metavar="D", help=DEVICE_HELP)


def arguments(parser: Parser) -> None:
    """Add what comes after the artifact."""
    parser.intermixed = True
    parser.more = _forms
    add = parser.add_argument
    add("input", help="where frames come from, see below")
    add("outputs", nargs="*", metavar="output", help="where results go, see below")
    add("--raw", metavar="WxH", help="width x height of raw frames on standard input")
    add("--rate", type=float, metavar="FPS", help="read a folder or file at this rate, as a camera would give it")
    add("--repeat", action="store_true", help="start a folder or file again at its end")
    add("--convert-rgb", action="store_true", help="convert frames of other modes to RGB")
    add(
        "--max-pixels",
        type=int,
        default=MAX_PIXELS,
        metavar="N",
        help="count larger pictures as corrupt (default %(default)s, 4K)",
    )
    add("--every-frame", action="store_true", help="process every frame, even from a live source, however late")
    add("--deadline-ms", type=float, default=200.0, metavar="MS", help="age from which a mask is late (default 200)")
    add(
        "--stall-s",
        type=float,
        default=2.0,
        metavar="S",
        help="report no_frames after S seconds without a frame (default 2)",
    )
    add(
        "--stuck-s",
        type=float,
        default=5.0,
        metavar="S",
        help="report a thread that is busy for S seconds as stuck (default 5)",
    )
    add(
        "--reduced-decode",
        action="store_true",
        help="decode JPEGs at reduced scale while the labels stay the same",
    )
    add("--any-picture", action="store_true", help="use a camera's frozen, black and overexposed pictures, only marked")
    add("--drivable", metavar="NAMES", help="classes that can be driven on, comma-separated (default: by usual name)")
    add("--fallback", type=Path, metavar="ARTIFACT", help="smaller artifact to use when it is too hot or too slow")
    add(
        "--hot-c",
        type=float,
        default=80.0,
        metavar="C",
        help="reduce the load at or above this temperature in degrees Celsius (default 80)",
    )
    add(
        "--cool-c",
        type=float,
        default=75.0,
        metavar="C",
        help="restore the load at or below this temperature in degrees Celsius (default 75)",
    )
    add("--token-file", type=Path, metavar="FILE", help=f"file with the live page's token (or set {TOKEN_VARIABLE})")
    add("--status-file", type=Path, metavar="FILE", help="file to write the runner's status to every second, as JSON")
    add("--no-self-test", action="store_true", help="do not run the golden frame before starting")
    add("--quiet", action="store_true", help="log warnings and errors only")


def _forms() -> str:
    inputs, outputs = ("".join(f"\n  {form}" for form in forms()) for forms in (source_forms, output_forms))
    return f"input:{inputs}\n\noutput:{outputs}"


def run(args: argparse.Namespace, target: Target) -> int:
    """Run until the input ends, SIGTERM, or no output takes results any more; exit 0 in each of these cases.

    Raises:
        SegfastError: something is wrong from the start: the artifact, the input, an output.
    """
    bound_arenas()
    write_log(quiet=args.quiet)
    stdout = own_stdout()
    settings = _settings(args)
    source = open_input(args.input, _source_options(args))
    options = Options(args.threads, args.precision, args.device)
    choice = ModelChoice(target, args.artifact, options, args.engine, self_test=not args.no_self_test)
    notifier = Notifier()
    if target.prefers_gpu:
        notifier.starting(_ENGINE_BUILD_S)
    if args.status_file is not None:
        check_writable(args.status_file)
    model = open_model(choice)
    if args.fallback is not None:
        _check_fallback(ModelChoice(target, args.fallback, choice.options, self_test=choice.self_test), model)
    telemetry = Telemetry(_drivable(args.drivable, model))
    context = OutputContext(telemetry, stdout, _token(args.token_file), getattr(args, "written", Path()))
    outputs = _outputs(args.outputs, context)
    pipeline = Pipeline(source, model, outputs, settings=settings, telemetry=telemetry)
    proven = getattr(args, "proven", None)  # a release on trial proves itself by being well
    service = Service(pipeline, model, notifier=notifier, status_file=args.status_file, proven=proven)
    del model  # the pipeline has it, and lets it go when another takes its place
    with signals(service):
        tally = service.run()
    notifier.close()
    write_what_was_held(at_end=True)
    log.info("frames: %s", tally.to_json())
    if tally.corrupt and not tally.out:
        raise DataError(f"no frame could be used; the last: {pipeline.decoder.last_damage}")
    return 0


def own_stdout() -> int:
    """Return standard output, and send what native runtimes print there to standard error from now on."""
    if sys.stdout is None:  # the first file opened here would get its number, and what others print
        raise DataError("standard output is closed. Start this with it open, for example >/dev/null")
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    return own


def _settings(args: argparse.Namespace) -> PipelineSettings:
    return PipelineSettings(
        deadline_ms=args.deadline_ms,
        stall_s=args.stall_s,
        stuck_s=args.stuck_s,
        keep_all=True if args.every_frame else None,
        reduced_decode=args.reduced_decode,
        withhold=not args.any_picture,
        limits=Limits(hot_c=args.hot_c, cool_c=args.cool_c),
        fallback=args.fallback,
    )


def _source_options(args: argparse.Namespace) -> InputOptions:
    if args.rate is not None and not 0.01 <= args.rate <= 1000:
        raise DataError(f"rate {args.rate} is outside 0.01 to 1000 frames per second")
    size = None
    if args.raw is not None:
        found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", args.raw)
        if found is None or not all(1 <= int(side) <= 16384 for side in found.groups()):
            raise DataError(f"raw size '{args.raw}' is not WIDTHxHEIGHT, for example 1280x720")
        size = int(found[2]), int(found[1])
    if not 1 <= args.max_pixels <= MAX_FILE_PIXELS:
        raise DataError(f"--max-pixels {args.max_pixels} is outside 1 to {MAX_FILE_PIXELS}")
    return InputOptions(args.rate, args.repeat, size, PictureRules(args.convert_rgb, args.max_pixels))


def _token(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the token in {path}: {error}") from error


def _check_fallback(choice: ModelChoice, model: Model) -> None:
    """Open the smaller artifact once, so that it is known to work before it is needed.

    Raises:
        SegfastError: it does not open, or its labels mean something else than those of ``model``.
    """
    if open_model(choice).manifest.classes.names != model.manifest.classes.names:
        raise DataError(f"the fallback {choice.artifact} has other classes than {model.choice.artifact}")


def _outputs(texts: Sequence[str], context: OutputContext) -> dict[str, Output]:
    """Open the outputs, of which one at most may write to standard output."""
    to_stdout = sorted({text for text in texts if text in ("jsonl:-", "pipe:-")})
    if len(to_stdout) > 1:
        raise DataError(f"{' and '.join(to_stdout)} would both write to standard output; send one of them elsewhere")
    return {text: open_output(text, context) for text in texts}


def _drivable(text: str | None, model: Model) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    drivable_labels(model.manifest.classes, names)  # a name that no class has is said now, not with the first frame
    return names


def self_test(choice: ModelChoice) -> str:
    """Return one line that says how the golden frame came out; SegfastError if it did not."""
    model = open_model(choice)
    return f"golden frame: {model.golden:.3%} of labels agree, engine {model.session.engine}"
