"""The device side's verbs: one line on stderr and exit 2 for what a user can fix."""

import argparse
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from segfast_edge.contract.engines import engine_names
from segfast_edge.contract.formats import format_names
from segfast_edge.contract.overlay import VIEWS
from segfast_edge.contract.profile_options import (
    DEVICE_HELP,
    PRECISION_HELP,
    add_profile_arguments,
    profile_options_from,
)
from segfast_edge.contract.shared.images import list_pictures
from segfast_edge.contract.shared.stopping import orderly
from segfast_edge.errors import DataError, InvalidMeasurementError, SegfastError, one_line, printable
from targets.common.arguments import Parser
from targets.common.segment import WRITERS, parse_outputs, run_pictures
from targets.common.session import CheckedSession, Options
from targets.common.target import open_artifact, refuse_elsewhere, target, targets
from targets.runner.command_line import arguments as stream_arguments
from targets.runner.command_line import own_stdout
from targets.runner.command_line import run as run_stream

_ROOT = Path("/")
EXIT_INTERRUPTED = 130
COMMAND = "SEGFAST_COMMAND"  # what the user typed to get here, for help texts, if it was not "python -m targets"


def _parser() -> argparse.ArgumentParser:
    command = os.environ.get(COMMAND, "python -m targets")
    parser = Parser(prog=command, description="Run or profile an artifact on this machine.")
    parser.add_argument("target", metavar="TARGET", help=", ".join(targets()))
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)
    run = verbs.add_parser("run", help="segment pictures")
    _common(run)
    run.add_argument("input", help="a picture, a folder of pictures, or - for picture paths on standard input")
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    run.add_argument("--write", default=",".join(VIEWS), help=f"any of {', '.join(WRITERS)} (default %(default)s)")
    run.add_argument("--convert-rgb", action="store_true", help="convert pictures of other modes to RGB")
    run.add_argument("--json", action="store_true", help="one JSON object per line")
    run.set_defaults(handle=_run)
    measured = verbs.add_parser("profile", help="measure an artifact")
    measured.add_argument("artifact", type=Path, help="artifact folder")
    measured.add_argument("--json", action="store_true", help="print the whole report as JSON")
    measured.add_argument("--require-valid", action="store_true", help="exit 5 if the measurement is invalid")
    measured.add_argument("--end-with-stdin", action="store_true", help="stop when standard input is closed")
    add_profile_arguments(measured)
    measured.set_defaults(handle=_profile)
    traced = verbs.add_parser("layers", help="time each layer of an artifact")
    traced.add_argument("artifact", type=Path, help="artifact folder")
    traced.add_argument("--json", action="store_true", help="print the layers as JSON")
    add_profile_arguments(traced)
    traced.set_defaults(handle=_layers)
    install = verbs.add_parser("needs", help="print what to install for a format, as JSON: lists of pip requirements")
    install.add_argument("format", help=f"format of an artifact: {', '.join(format_names())}")
    install.set_defaults(handle=_needs)
    about = verbs.add_parser("about", help="describe this kind of computer, as JSON")
    about.set_defaults(handle=_about)
    stream = verbs.add_parser("stream", help="segment a camera, stream or video until it ends or is stopped")
    _common(stream)
    stream_arguments(stream)
    stream.set_defaults(handle=_stream)
    return parser


def _needs(args: argparse.Namespace) -> int:
    print(json.dumps(target(args.target).requirements(args.format)))
    return 0


def _about(args: argparse.Namespace) -> int:
    print(json.dumps(target(args.target).to_json()))
    return 0


def _stream(args: argparse.Namespace) -> int:
    return run_stream(args, target(args.target))


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("artifact", type=Path, help="artifact folder")
    parser.add_argument("--threads", type=int, default=0, help="threads of the engine (default: all cores)")
    parser.add_argument("--engine", metavar="NAME", help=f"engine: {', '.join(engine_names())}")
    parser.add_argument("--precision", metavar="P", help=PRECISION_HELP)
    parser.add_argument("--device", metavar="D", help=DEVICE_HELP)


def _open(args: argparse.Namespace) -> CheckedSession:
    options = Options(args.threads, args.precision, args.device)
    return open_artifact(target(args.target), args.artifact, options, args.engine)


def _pictures(text: str) -> Iterator[Path]:
    if text == "-":
        sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr] # names of files hold any byte
        yield from (Path(line.rstrip("\n")) for line in sys.stdin)
    elif Path(text).is_dir():
        yield from list_pictures(Path(text))
    else:
        yield Path(text)


def _private_stdout() -> TextIO:
    """Return standard output, and send what native runtimes print there to standard error from now on."""
    return os.fdopen(own_stdout(), "w", encoding="utf-8")


def _run(args: argparse.Namespace) -> int:
    outputs = parse_outputs(args.write)
    stdout = _private_stdout()
    session = _open(args)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {args.out}: {error.strerror or error}") from error
    for picture, written in run_pictures(
        session, _pictures(args.input), out=args.out, outputs=outputs, convert=args.convert_rgb
    ):
        names = {"input": str(picture), "written": [str(path) for path in written]}
        line = printable(f"{picture} -> {', '.join(path.name for path in written)}")
        line = json.dumps(names) if args.json else line
        print(line, file=stdout, flush=True)
    if args.json:
        print(json.dumps({"session": session_facts(session)}), file=stdout, flush=True)
    return 0


def _profile(args: argparse.Namespace) -> int:
    from segfast_edge.contract.instruction_report import (  # what only this verb needs: 2 MB of a runner
        CountReport,
        count_figures,
    )
    from segfast_edge.contract.report_text import lines
    from targets.common.profiler import profile

    plan = profile_options_from(args)
    done = threading.Event()
    if args.end_with_stdin:
        threading.Thread(target=_end_with_input, args=(done,), name="end-with-stdin", daemon=True).start()
    stdout = _private_stdout()
    try:
        report = profile(target(args.target), args.artifact, plan)
    finally:
        done.set()  # before standard output closes, which makes the other end let go of this one's input
    if args.json:
        shown = [json.dumps(report.to_json(), allow_nan=False)]
    elif isinstance(report, CountReport):
        shown = [f"{name}  {value}" for name, value in count_figures(report).items()]
    else:
        shown = lines(report, plan.percentile)
    for line in shown:
        print(line, file=stdout, flush=True)
    if args.require_valid and not report.valid:
        raise InvalidMeasurementError(f"the measurement is invalid: {'; '.join(report.reasons)}")
    return 0


def _end_with_input(done: threading.Event) -> None:
    """End this process, unless it is done, when whoever holds the other end of its input is gone."""
    while os.read(0, 1):  # not through sys.stdin, whose lock a thread must not hold when the interpreter ends
        pass
    if not done.is_set():
        os._exit(EXIT_INTERRUPTED)


def _layers(args: argparse.Namespace) -> int:
    from segfast_edge.contract.report_text import layer_lines
    from segfast_edge.contract.validity import disturbances
    from targets.common import emulated
    from targets.common.layer_timing import trace

    plan = profile_options_from(args)
    stdout = _private_stdout()
    where = target(args.target)
    refuse_elsewhere(where, _ROOT)
    emulated.refuse_timing(_ROOT)
    found, conditions = trace(where, args.artifact, plan)
    if args.json:
        shown = [json.dumps({"layers": [layer.to_json() for layer in found], "conditions": conditions})]
    else:
        shown = layer_lines(found) + [f"invalid: {reason}" for reason in disturbances(conditions)]
    for line in shown:
        print(line, file=stdout, flush=True)
    return 0


def session_facts(session: CheckedSession) -> dict[str, Any]:
    """Return what ran: the engine, what it says of itself, and whether torch is in this process."""
    return {"engine": session.engine, **session.facts(), "torch_imported": "torch" in sys.modules}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the process's exit status."""
    args = _parser().parse_args(argv)
    try:
        with orderly():
            return int(args.handle(args))
    except SegfastError as error:
        print(f"targets: {one_line(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
