"""segfast-edge profile: latency, memory and conditions of artifacts, each in a fresh process, here or over ssh."""

import argparse
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from segfast_edge.cli._output import output_option
from segfast_edge.cli._packages import ENGINE
from segfast_edge.contract.profile_options import (
    BIG,
    LITTLE,
    ProfileOptions,
    add_profile_arguments,
    core_numbers,
    profile_options_from,
)
from segfast_edge.errors import InvalidMeasurementError, TargetError

if TYPE_CHECKING:
    from segfast_edge.contract.instruction_report import CountReport
    from segfast_edge.contract.report import Report
    from segfast_edge.profiling.local import Measurements
    from segfast_edge.profiling.threads_curve import Point

    AnyReport = Report | CountReport

HELP = "measure artifacts on this machine or over ssh on others, each in a fresh process"
EXAMPLE = (
    "segfast-edge profile artifacts/segfast-openvino artifacts/segfast-tflite --target x86 --threads 1\n"
    "  segfast-edge profile artifacts/segfast-tflite --repeat 6 --out before.json\n"
    "  segfast-edge profile artifacts/segfast-tflite --target rpi --host pi@raspberrypi.local --install"
)
NEEDS = {"artifacts": (ENGINE,)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("artifacts", nargs="+", type=Path, metavar="ARTIFACT", help="artifact folder to measure")
    parser.add_argument("--target", default="x86", help="kind of computer to measure on (default %(default)s)")
    parser.add_argument(
        "--repeat",
        type=int,
        default=1,
        metavar="N",
        help="measure each artifact in N processes, in rounds of random order (default 1; compare needs 2, better 6)",
    )
    parser.add_argument(
        "--threads-curve",
        nargs="?",
        const="",
        metavar="1,2,4",
        help="measure on several numbers of threads and recommend one (default: powers of two up to all cores)",
    )
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    output_option(parser, "FILE", "also write the reports to a JSON file")
    parser.add_argument("--require-valid", action="store_true", help="exit 5 if a measurement is invalid")
    elsewhere = parser.add_argument_group("other computers")
    elsewhere.add_argument("--host", metavar="USER@HOST", help="measure on this host over ssh")
    elsewhere.add_argument("--fleet", type=Path, metavar="FILE", help="measure on every [[device]] of a TOML file")
    elsewhere.add_argument("--install", action="store_true", help="install the runtime on the host, and keep it there")
    elsewhere.add_argument(
        "--even-if-busy", action="store_true", help="measure although the host is busy; the report will be invalid"
    )
    add_profile_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure each artifact and show all in one table."""
    from segfast_edge.cli._profile_view import show, show_curve
    from segfast_edge.contract.report import reports_json
    from segfast_edge.contract.shared.files import check_writable, write_json

    plan = profile_options_from(args)
    if args.output is not None:
        check_writable(args.output)
    reports, failures, points = _measure(args, plan)
    value = reports_json(reports) if reports else {}
    if points:
        value = {
            "reports": [report.to_json() for report in reports],
            "threads_curve": [each.to_json() for each in points],
        }
    if args.output is not None and reports:
        write_json(args.output, value)
        args.options_paths = [args.output.with_suffix(".profile.toml")]
    if args.json and reports:
        print(json.dumps(value, indent=2, allow_nan=False))
    elif points:
        show_curve(points)
    elif reports:
        show(reports, plan.percentile)
    if failures:
        raise TargetError(" | ".join(failures))
    invalid = [f"{report.title}: {'; '.join(report.reasons)}" for report in reports if not report.valid]
    if args.require_valid and invalid:
        raise InvalidMeasurementError(f"measurement is invalid: {' | '.join(invalid)}")
    return 0


def _measure(args: argparse.Namespace, plan: ProfileOptions) -> "tuple[list[AnyReport], list[str], list[Point]]":
    """Return the reports, a line for each artifact or device that failed, and the points of a curve over threads."""
    from segfast_edge.cli._progress import status
    from segfast_edge.profiling.local import check_artifacts

    rounds = _rounds(args.artifacts, args.repeat)
    elsewhere = args.host is not None or args.fleet is not None
    if args.host is not None and args.fleet is not None:
        raise TargetError("--host and --fleet exclude each other; put the host into the fleet file")
    if plan.samples and (args.repeat > 1 or len(args.artifacts) > 1 or args.threads_curve is not None):
        raise TargetError("--samples is one file for one measurement; the reports have the samples of all")
    if not elsewhere and (args.install or args.even_if_busy):
        raise TargetError("--install and --even-if-busy are for other computers; give --host or --fleet")
    check_artifacts(args.artifacts)
    with status("measuring") as announce:
        measure = partial(_elsewhere if elsewhere else _here, args, announce)
        if args.threads_curve is not None:
            return _curve(args, plan, rounds, measure)
        measured = measure([artifact for each in rounds for artifact in each], plan)
    return _as_named(measured.reports, args.artifacts), list(measured.failures), []


def _as_named(reports: "Sequence[AnyReport]", artifacts: list[Path]) -> "list[AnyReport]":
    """Return the reports of the artifact named first, then those of the next; each in the order of measurement."""
    from segfast_edge.profiling.local import distinct_names

    order = list(dict.fromkeys(distinct_names(artifacts).values()))
    return sorted(reports, key=lambda report: order.index(str(report.artifact["name"])))


def _here(
    args: argparse.Namespace, announce: Callable[[str], None], artifacts: list[Path], plan: ProfileOptions
) -> "Measurements":
    from segfast_edge.profiling.local import profile_all

    return profile_all(artifacts, target=args.target, plan=plan, announce=announce)


def _curve(
    args: argparse.Namespace,
    plan: ProfileOptions,
    rounds: list[list[Path]],
    measure: "Callable[[list[Path], ProfileOptions], Measurements]",
) -> "tuple[list[AnyReport], list[str], list[Point]]":
    """Measure every artifact on every number of threads, in random order within a round; the first failure ends it."""
    from segfast_edge.contract.report import Report
    from segfast_edge.profiling import threads_curve
    from segfast_edge.profiling.local import named

    if plan.threads:
        raise TargetError("--threads and --threads-curve exclude each other")
    numbers = threads_curve.counts(args.threads_curve, _cores(args, plan))
    found: dict[str, list[Report]] = {}
    for each in rounds:
        for threads in random.sample(numbers, len(numbers)):
            measured = measure(each, replace(plan, threads=threads))
            for report in measured.reports:
                if not isinstance(report, Report):
                    raise TargetError("--threads-curve on an emulated board, where a time means nothing")
                found.setdefault(report.title, []).append(report)
            if measured.failures:
                return [], list(measured.failures), []
    points = [point for name, reports in found.items() for point in threads_curve.curve(name, reports)]
    every = [report for reports in found.values() for report in reports]
    return [named(r, threads_curve.label(str(r.artifact["name"]), r.threads)) for r in every], [], points


def _cores(args: argparse.Namespace, plan: ProfileOptions) -> int:
    """Return how many cores there are to measure on; 0 if the numbers of threads are named."""
    from segfast_edge.remote.probe import check
    from segfast_edge.remote.ssh import Ssh

    if args.threads_curve:
        return 0
    if args.fleet is not None or plan.pin in (BIG, LITTLE):
        raise TargetError("with --fleet or --pin big, name the numbers of threads, for example --threads-curve 1,2,4")
    if plan.pin:
        return len(core_numbers(plan.pin))
    return check(Ssh(args.host)).cpus if args.host is not None else len(os.sched_getaffinity(0))


def _elsewhere(
    args: argparse.Namespace, announce: Callable[[str], None], artifacts: list[Path], plan: ProfileOptions
) -> "Measurements":
    from segfast_edge.profiling.fleet import Device, measure, read_fleet
    from segfast_edge.profiling.over_ssh import RemoteProfile

    devices = read_fleet(args.fleet) if args.fleet is not None else [Device(args.host, args.host, args.target)]
    if plan.samples:
        raise TargetError("--samples is for this machine; over ssh the report has the samples")
    partial = args.output.with_suffix(".partial.json") if args.output and len(devices) == 1 else None
    request = RemoteProfile(devices[0].target, plan, args.install, args.even_if_busy, announce, partial)
    measured = measure(devices, artifacts, request)
    return replace(measured, failures=tuple(line.removeprefix(f"{args.host}: ") for line in measured.failures))


def _rounds(artifacts: list[Path], count: int) -> list[list[Path]]:
    """Return the order of the measurements: every artifact once a round, so that drift meets all alike."""
    if not 1 <= count <= 1000:
        raise TargetError(f"--repeat {count} is outside 1 to 1000")
    if count == 1:
        return [artifacts]
    return [random.sample(artifacts, len(artifacts)) for _ in range(count)]
