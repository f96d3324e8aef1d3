"""segfast-edge profile: latency, memory and conditions of artifacts, each in a fresh process."""

import argparse
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING

from segfast_edge.contract.plan import add_plan_arguments, plan_from
from segfast_edge.errors import InvalidMeasurementError, TargetError

if TYPE_CHECKING:
    from segfast_edge.contract.report import Report

HELP = "measure artifacts on this machine, each in a fresh process"
EXAMPLE = "segfast-edge profile artifacts/segfast-openvino artifacts/segfast-tflite --target x86 --threads 1"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("artifacts", nargs="+", type=Path, metavar="ARTIFACT", help="artifact folder")
    parser.add_argument("--target", default="x86", help="the kind of computer this is (default %(default)s)")
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="measure each N times, in rounds of random order (default 1)"
    )
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the reports as JSON")
    parser.add_argument("--require-valid", action="store_true", help="exit 5 where a measurement is void")
    add_plan_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure each artifact and show all in one table."""
    from rich.console import Console

    from segfast_edge.contract.files import check_writable, write_json
    from segfast_edge.contract.report import reports_json
    from segfast_edge.profile import profile

    plan = plan_from(args)
    if args.output is not None:
        check_writable(args.output)
    reports = []
    progress = Console(stderr=True)
    for artifact in _rounds(args.artifacts, args.repeat):
        with progress.status(f"measuring {artifact}"):
            reports.append(profile(artifact, target=args.target, plan=plan))
    if args.output is not None:
        write_json(args.output, reports_json(reports))
    if args.json:
        print(json.dumps(reports_json(reports), indent=2, allow_nan=False))
    else:
        _show(reports, plan.percentile)
    void = [f"{report.artifact['name']}: {'; '.join(report.reasons)}" for report in reports if not report.valid]
    if args.require_valid and void:
        raise InvalidMeasurementError(f"measurement is void: {' | '.join(void)}")
    return 0


def _rounds(artifacts: list[Path], count: int) -> list[Path]:
    """Return the order of the measurements: every artifact once a round, so that drift meets all alike."""
    if not 1 <= count <= 1000:
        raise TargetError(f"--repeat {count} is outside 1 to 1000")
    rest = [random.sample(artifacts, len(artifacts)) for _ in range(count - 1)]
    return [artifact for each in [artifacts, *rest] for artifact in each]


def _show(reports: list["Report"], rank: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from segfast_edge.contract.figures import figures

    shown = [figures(report, rank) for report in reports]
    table = Table(title=f"{reports[0].target}: {reports[0].machine.get('processor') or 'processor unknown'}")
    table.add_column("", no_wrap=True)
    for report in reports:
        table.add_column(str(report.artifact["name"]), justify="right")
    for name in dict.fromkeys(name for each in shown for name in each):
        table.add_row(name, *(each.get(name, "") for each in shown))
    console = Console()
    console.print(table)
    for report in reports:
        for reason in report.reasons:
            console.print(f"{report.artifact['name']}: void: {reason}", highlight=False)
