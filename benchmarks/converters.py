"""Our converters against each tool's own default path, and each against the machine's limit.

    nice -n 19 python benchmarks/converters.py --work race --convert-only
    python benchmarks/converters.py --work race --output race/converters

Networks at 224x224 and 360x480 (height x width), on 1 and 2 threads: eager torch, TorchScript, OpenVINO, TFLite and
ONNX Runtime in float and int8. Every way takes the same uint8 frame and gives uint8 labels, and has a process of its
own; the processes of a network at a size are asked in turn, in rounds of random order, and sleep meanwhile. A figure
is the mean of the rounds' medians with its 95 % bootstrap interval; it is invalid for the profiler's reasons (foreign
load, throttling, unsteadiness), which is then said beside it.

Ours is what ``segfast-edge convert`` writes. The default path converts the network as it is: torch.jit.trace;
ov.convert_model and nncf.quantize; torch.onnx.export, quant_pre_process and quantize_static; litert-torch and
ai-edge-quantizer's static_wi8_ai8. OpenVINO runs its files once with floats in f32 and once in bf16. Both sides
calibrate on the same drawn scenes. Weights are the shipped ones of the network, random where none ship, which is enough
for time; the share of labels that agree with torch is beside each figure all the same.

Converting is kept in the work folder and goes on where it was stopped, apart for each version of the shipped weights;
delete that folder after changing a converter.
Exit 5 where a figure is invalid, 1 where a ratio to be shown was measured and not reached.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.converter_race import measuring, results
from benchmarks.converter_race.cases import NETWORKS, REFERENCE, SIZES, Case, cases, ways
from benchmarks.converter_race.worker import SIDE
from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.contract.shared.files import check_writable, replacing_file, write_json
from segfast_edge.errors import SegfastError, unknown
from segfast_edge.model.summary import summarise
from targets.common.machine import describe

CONSOLE = Console(stderr=True)


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[str], None]]:
    """Give what moves the bar on by one; it is drawn then and at no other time, so that it takes no core."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=CONSOLE, auto_refresh=False, disable=not CONSOLE.is_terminal) as bars:
        task = bars.add_task(what, total=total)

        def on(text: str) -> None:
            bars.update(task, advance=1, description=text)
            bars.refresh()

        yield on


def convert(those: list[Case], work: Path, frames: int) -> list[str]:
    """Make what is missing; return a line for each file that cannot be made."""
    from benchmarks.converter_race import making

    litert = making.litert_python()
    if litert is None:
        CONSOLE.print(
            f"[bold red]litert-torch is missing: its ways are left out.[/] To have them run: {making.INSTALL}"
        )
    pictures = making.draw_frames(work, frames)
    lines: list[str] = []
    for case in those:
        lines += making.make(case, pictures, litert, lambda text: CONSOLE.print(text, highlight=False))
    return lines


def race(those: list[Case], args: argparse.Namespace, not_made: list[str]) -> dict[str, Any]:
    """Measure the limit and then every case; what there is so far is written after each."""
    start = time.monotonic()
    pace = measuring.Pace(args.seconds_per_round, args.rounds, seed=args.seed)
    result: dict[str, Any] = {
        "machine": describe(Path("/")),
        "threads": args.threads,
        "pace": {"seconds": pace.seconds, "rounds": pace.rounds, "samples": pace.samples, "seed": pace.seed},
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load_before": os.getloadavg(),
        "product_side": SIDE,
        "not_made": not_made,
        "cases": [],
    }
    limit = measuring.products(args.threads)
    fields = [(case, measuring.entrants(case, _ready(case), args.threads, args.target)) for case in those]
    steps = (1 + pace.rounds) * (len(limit) + sum(len(entrants) for _, entrants in fields))
    with bar("the machine's limit", steps) as on:
        rows = measuring.race(limit, pace, lambda: on("the machine's limit"))
        result["products"] = [results.finish(row) for row in rows]
        result["peaks"] = results.peaks(result["products"], SIDE)
        for case, entrants in fields:
            rows = measuring.race(entrants, pace, lambda name=case.name: on(name))
            result["cases"].append(_finished(case, rows, result["peaks"]))
            _write(result, args.output)
    result |= {"complete": True, "seconds": time.monotonic() - start, "load_after": os.getloadavg()}
    _write(result, args.output)
    return result


def _ready(case: Case) -> list[Any]:
    """Return the ways whose file is there."""
    every = ways(case)
    absent = measuring.missing(case, every)
    return [way for way in every if way not in absent]


def _finished(case: Case, rows: list[dict[str, Any]], peaks: dict[str, Any]) -> dict[str, Any]:
    from segfast_edge.model.checkpoint import Checkpoint

    checkpoint = Checkpoint.load(case.checkpoint)
    macs = summarise(case.network, len(checkpoint.classes), case.size).macs
    for row in map(results.finish, rows):
        row["of_limit"] = results.share_of_limit(row, macs, peaks)
    weights = checkpoint.provenance.get("weights", "shipped")
    return {"network": case.network, "size": case.size, "macs": macs, "weights": weights, "rows": rows}


def _write(result: dict[str, Any], output: Path | None) -> None:
    """Bring claims and description up to date, and write both files."""
    machine, pace = result["machine"], result["pace"]
    versions = {k: v for case in result["cases"] for row in case["rows"] for k, v in row.get("versions", {}).items()}
    trained = [case["network"] for case in result["cases"] if case["weights"] == "shipped"]
    result["claims"] = list(results.claims(result["cases"]))
    result["versions"] = versions
    result["described"] = (
        f"{machine['processor']}, {machine['usable_cores']} cores; "
        + ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        + f". {pace['rounds']} rounds of at least {pace['seconds']:g} s each, {pace['samples']} samples at least;"
        f" begun {result['began']}, load then {result['load_before'][0]:.1f}."
        f" Shipped weights: {', '.join(dict.fromkeys(trained)) or 'none'}; all others random."
    )
    if output is not None:
        write_json(output.with_suffix(".json"), result)
        with replacing_file(output.with_suffix(".md")) as temporary:
            temporary.write_text(results.markdown(result), encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ExactParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the converted files")
    parser.add_argument("--output", type=Path, help="write FILE.json and FILE.md", metavar="FILE")
    parser.add_argument("--convert-only", action="store_true", help="convert and stop")
    parser.add_argument("--networks", default=",".join((*NETWORKS, REFERENCE)), help="default %(default)s")
    parser.add_argument("--sizes", default=",".join(f"{h}x{w}" for h, w in SIZES), help="default %(default)s")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--target", default="x86")
    parser.add_argument("--calibration-frames", type=int, default=12, help="drawn scenes (default %(default)s)")
    parser.add_argument("--seconds-per-round", type=float, default=0.2, help="of each process (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    return parser.parse_args()


def main() -> int:
    """Convert, race, print."""
    args = arguments()
    try:
        wanted = _wanted(args)
        if args.output is not None:
            check_writable(args.output.with_suffix(".json"))
        not_made = convert(wanted, args.work, args.calibration_frames)
        for line in not_made:
            CONSOLE.print(f"not made: {line}", highlight=False)
        if args.convert_only:
            return 0
        result = race(wanted, args, not_made)
    except SegfastError as error:
        print(f"converters: {error}", file=sys.stderr)
        return error.exit_code
    if args.json:
        print(json.dumps(result))
    else:
        Console().print(Markdown(results.markdown(result)))
    if any(row.get("invalid") for case in result["cases"] for row in case["rows"]):
        return 5
    return int(any(each["met"] is False for each in result["claims"]))


def _wanted(args: argparse.Namespace) -> list[Case]:
    """Return the cases asked for; SegfastError for a network or size that is none, or an impossible pace."""
    for text, known in ((args.networks, (*NETWORKS, REFERENCE)), (args.sizes, [f"{h}x{w}" for h, w in SIZES])):
        for each in text.split(","):
            if each not in known:
                raise SegfastError(unknown("case", each, known))
    if not (0 <= args.seconds_per_round <= 3600 and 1 <= args.rounds <= 1000 and min(args.threads) >= 1):
        raise SegfastError("--seconds-per-round must be 0 to 3600, --rounds 1 to 1000, --threads at least 1")
    if not 2 <= args.calibration_frames <= 999:
        raise SegfastError(f"--calibration-frames {args.calibration_frames} is outside 2 to 999")
    sizes = args.sizes.split(",")
    return [each for each in cases(args.work, tuple(args.networks.split(","))) if "{}x{}".format(*each.size) in sizes]


if __name__ == "__main__":
    sys.exit(main())
