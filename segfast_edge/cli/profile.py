"""segfast-edge profile: latency, memory and conditions of artifacts, each in a fresh process, here or over ssh."""

import argparse
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segfast_edge.cli._packages import ENGINE
from segfast_edge.contract.profile_options import ProfileOptions, add_profile_arguments, profile_options_from
from segfast_edge.errors import InvalidMeasurementError, TargetError

if TYPE_CHECKING:
    from rich.console import Console

    from segfast_edge.contract.instruction_report import CountReport
    from segfast_edge.contract.report import Report

    AnyReport = Report | CountReport

HELP = "measure artifacts on this machine or over ssh on others, each in a fresh process"
EXAMPLE = (
    "segfast-edge profile artifacts/segfast-openvino artifacts/segfast-tflite --target x86 --threads 1\n"
    "  segfast-edge profile artifacts/segfast-tflite --repeat 6 --output before.json\n"
    "  segfast-edge profile artifacts/segfast-tflite --target rpi --host pi@raspberrypi.local --install"
)
NEEDS = {"artifacts": (ENGINE,)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("artifacts", nargs="+", type=Path, metavar="ARTIFACT", help="artifact folder")
    parser.add_argument("--target", default="x86", help="the kind of computer (default %(default)s)")
    parser.add_argument(
        "--repeat",
        type=int,
        default=1,
        metavar="N",
        help="measure each artifact in N processes, in rounds of random order (default 1; compare needs 2, better 6)",
    )
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the reports as JSON")
    parser.add_argument("--require-valid", action="store_true", help="exit 5 if a measurement is invalid")
    elsewhere = parser.add_argument_group("other computers")
    elsewhere.add_argument("--host", metavar="USER@HOST", help="measure there, over the system's ssh")
    elsewhere.add_argument("--fleet", type=Path, metavar="FILE", help="measure on every [[device]] of a TOML file")
    elsewhere.add_argument("--install", action="store_true", help="bring the runtime along; it is kept there")
    elsewhere.add_argument(
        "--even-if-busy", action="store_true", help="measure although the host is busy; the report will be invalid"
    )
    add_profile_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure each artifact and show all in one table."""
    from segfast_edge.contract.report import reports_json
    from segfast_edge.contract.shared.files import check_writable, write_json

    plan = profile_options_from(args)
    if args.output is not None:
        check_writable(args.output)
    reports, failures = _measure(args, plan)
    if args.output is not None and reports:
        write_json(args.output, reports_json(reports))
    if args.json and reports:
        print(json.dumps(reports_json(reports), indent=2, allow_nan=False))
    elif reports:
        _show(reports, plan.percentile)
    if failures:
        raise TargetError(" | ".join(failures))
    invalid = [f"{report.title}: {'; '.join(report.reasons)}" for report in reports if not report.valid]
    if args.require_valid and invalid:
        raise InvalidMeasurementError(f"measurement is invalid: {' | '.join(invalid)}")
    return 0


def _measure(args: argparse.Namespace, plan: ProfileOptions) -> tuple[list["AnyReport"], list[str]]:
    """Return the reports, and a line for each artifact or device that failed."""
    from rich.console import Console

    from segfast_edge.profiling.local import check_artifacts, profile_all

    artifacts = _rounds(args.artifacts, args.repeat)
    if args.host and args.fleet:
        raise TargetError("--host and --fleet exclude each other; put the host into the fleet file")
    if plan.samples and len(artifacts) > 1:
        raise TargetError("--samples is one file for one measurement; the reports have the samples of all")
    if not (args.host or args.fleet) and (args.install or args.even_if_busy):
        raise TargetError("--install and --even-if-busy are for other computers; give --host or --fleet")
    check_artifacts(artifacts)
    with Console(stderr=True).status("measuring") as status:
        if args.host or args.fleet:
            return _elsewhere(args, plan, artifacts, status.update)
        measured = profile_all(artifacts, target=args.target, plan=plan, announce=status.update)
    return list(measured.reports), list(measured.failures)


def _elsewhere(
    args: argparse.Namespace, plan: ProfileOptions, artifacts: list[Path], announce: Callable[[str], None]
) -> tuple[list["AnyReport"], list[str]]:
    from segfast_edge.profiling.fleet import Device, measure, read_fleet
    from segfast_edge.profiling.over_ssh import RemoteProfile

    devices = read_fleet(args.fleet) if args.fleet else [Device(args.host, args.host, args.target)]
    if plan.samples:
        raise TargetError("--samples is for this machine; over ssh the report has the samples")
    partial = args.output.with_suffix(".partial.json") if args.output and len(devices) == 1 else None
    request = RemoteProfile(devices[0].target, plan, args.install, args.even_if_busy, announce, partial)
    measured = measure(devices, artifacts, request)
    failures = [line.removeprefix(f"{args.host}: ") for line in measured.failures]
    return list(measured.reports), failures


def _rounds(artifacts: list[Path], count: int) -> list[Path]:
    """Return the order of the measurements: every artifact once a round, so that drift meets all alike."""
    if not 1 <= count <= 1000:
        raise TargetError(f"--repeat {count} is outside 1 to 1000")
    if count == 1:
        return artifacts
    rounds = [random.sample(artifacts, len(artifacts)) for _ in range(count)]
    return [artifact for each in rounds for artifact in each]


def _show(reports: list["AnyReport"], rank: float) -> None:
    from rich.table import Column, Table

    from segfast_edge.cli._console import console
    from segfast_edge.contract.instruction_report import CountReport, count_figures
    from segfast_edge.contract.report_text import figures

    shown = [count_figures(each) if isinstance(each, CountReport) else figures(each, rank) for each in reports]
    machines = sorted({_machine(report) for report in reports})
    title = f"{', '.join(sorted({report.target for report in reports}))}: {'; '.join(machines)}"
    names = list(dict.fromkeys(name for each in shown for name in each))
    screen = console()
    columns = [
        (report.title, *(each.get(name, "") for name in names)) for report, each in zip(reports, shown, strict=True)
    ]
    for part in _parts(columns, screen.width - max(map(len, names)) - 4):
        table = Table("", *(Column(name, justify="right", overflow="fold") for name, *_ in part), title=title)
        table.columns[0].no_wrap = True
        for name, *cells in zip(names, *(cells for _, *cells in part), strict=True):
            table.add_row(name, *cells)
        screen.print(table)
    for report in reports:
        for reason in report.reasons:
            screen.print(f"{report.title}: invalid: {reason}", highlight=False, soft_wrap=True)
        if not isinstance(report, CountReport) and report.layers:
            _show_layers(report, screen)
    _show_repeated([report for report in reports if not isinstance(report, CountReport)], screen)


def _show_repeated(reports: "list[Report]", screen: "Console") -> None:
    """Print a line for each artifact that was measured in several processes."""
    from segfast_edge.contract.shared.bootstrap import mean_median, mean_median_interval

    for name in dict.fromkeys(report.title for report in reports):
        runs = [report.latency.samples_ms for report in reports if report.title == name]
        if len(runs) > 1:
            low, high = mean_median_interval(runs)
            median = f"p50 {mean_median(runs):.3f} ms, 95 % {low:.3f} to {high:.3f}"
            screen.print(f"{name}: {len(runs)} processes: {median}", highlight=False, soft_wrap=True)


def _parts(columns: Sequence[tuple[str, ...]], width: int) -> Iterator[list[tuple[str, ...]]]:
    """Give as many columns at a time as stand side by side in ``width`` characters without breaking a cell."""
    part: list[tuple[str, ...]] = []
    left = width
    for column in columns:
        needed = max(map(len, column)) + 3
        if part and needed > left:
            yield part
            part, left = [], width
        part.append(column)
        left -= needed
    yield part


def _machine(report: "AnyReport") -> str:
    board, processor = report.machine.get("board"), report.machine.get("processor") or "processor unknown"
    return f"{board}, {processor}" if board else str(processor)


def _show_layers(report: "Report", screen: "Console") -> None:
    from segfast_edge.contract.layer_times import Layer
    from segfast_edge.contract.report_text import KIND_TITLES, LAYER_TITLES, kind_rows, layer_rows

    layers = [Layer.from_json(each) for each in report.layers]
    title = f"{report.title}: {report.engine}, {report.threads} threads, traced"
    _show_rows(f"{title}: kinds of layers", KIND_TITLES, kind_rows(layers), screen)
    _show_rows(f"{title}: each layer in turn", LAYER_TITLES, layer_rows(layers), screen)


def _show_rows(title: str, titles: Sequence[str], rows: Sequence[tuple[str, ...]], screen: "Console") -> None:
    """Draw a line a row: where the terminal is narrow, names are cut and figures are not; the JSON has all."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    columns = [(name, *cells) for name, *cells in zip(titles, *rows, strict=True) if any(cells)]
    widths = {name: max(map(len, (name, *cells))) for name, *cells in columns}
    words = [name for name in ("layer", "kind of layer", "kernel") if name in widths]
    room = screen.width - 3 * len(columns) - sum(width for name, width in widths.items() if name not in words)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name, *_ in columns:
        most = max(room // len(words), 8) if name in words else None
        left = name in (*words, "precision")
        table.add_column(name, justify="left" if left else "right", no_wrap=True, max_width=most, overflow="ellipsis")
    for row in zip(*(cells for _, *cells in columns), strict=True):
        table.add_row(*row)
    screen.print(table)
