"""Let the runner run while everything around it goes wrong at random, and count whether anything is lost.

  python tools/soak --minutes 3                                    the null engine; what CI runs
  python tools/soak --minutes 480 --artifact DIR --engine litert   a real model, overnight
  python tools/soak --minutes 3 --seed 7 --report soak.json        the same faults in the same order, every time

Ends with status 1 where a frame is unaccounted for, a result out of order, a mask torn, a recovery too slow, or memory
grows. In the second half the runner is ended and started again three times, each time in another way. The date jumps
for the runner alone, by a library compiled here and preloaded; without a C compiler that fault is left out.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works before the project is installed, too

from faults import ENDINGS, FAULTS, Fault, date_jumps
from null_artifact import write_null_artifact
from report import Soak
from stand import PATIENCE_S, RECOVERY_S, Stand

from segfast_edge.contract.shared.arguments import ExactParser


def _parser() -> argparse.ArgumentParser:
    parser = ExactParser(prog="soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--fps", type=float, default=10.0, help="of the camera (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults' order and length (default %(default)s)")
    parser.add_argument("--quiet-s", type=float, default=3.0, help="mean time between faults (default %(default)s)")
    parser.add_argument("--artifact", type=Path, help="a real artifact (default: one for the null engine)")
    parser.add_argument("--engine", default="null", help="what runs it (default %(default)s)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report as JSON")
    return parser


def _soak(stand: Stand, soak: Soak, args: argparse.Namespace) -> None:
    chance = random.Random(args.seed)
    faults = [fault for fault in FAULTS if fault is not date_jumps or stand.date.available]
    endings = random.Random(args.seed).sample(ENDINGS, len(ENDINGS))
    whole_s = args.minutes * 60
    if stand.running_since(stand.started_s, PATIENCE_S) is None:
        raise SystemExit(f"the runner did not begin:\n{stand.log()}")
    began_s = time.monotonic()

    def bring_about(fault: Fault, patience_s: float) -> None:
        print(f"{time.monotonic() - began_s:7.1f} s  {fault.__name__}", flush=True)
        fault(stand, chance)
        soak.recoveries[fault.__name__].append(stand.running_since(time.monotonic(), patience_s))

    waiting: list[Fault] = []
    while (spent_s := time.monotonic() - began_s) < whole_s and stand.child.poll() is None:
        if endings and spent_s > whole_s * (1 - len(endings) / len(ENDINGS) / 2):  # the first life is half of it
            bring_about(endings.pop(), PATIENCE_S)
        time.sleep(chance.expovariate(1 / args.quiet_s))
        if not waiting:  # every kind once before any comes again, in another order each time
            waiting = chance.sample(faults, len(faults))
        bring_about(waiting.pop(), RECOVERY_S)
    soak.seconds = time.monotonic() - began_s


def main() -> int:
    """Run one soak and return the exit status."""
    args = _parser().parse_args()
    soak = Soak(0.0, args.fps, args.seed, args.engine)
    with tempfile.TemporaryDirectory(prefix="segfast-soak-artifact-") as name:
        artifact = Path(name) / "artifact"
        if args.artifact is None:
            write_null_artifact(artifact)
        else:
            shutil.copytree(args.artifact, artifact)  # it will be damaged
        stand = Stand(artifact, args.engine, args.fps)
        try:
            _soak(stand, soak, args)
            stand.end()
            report = soak.to_json(stand)
            failures = soak.failures(stand)
            if failures:
                print(stand.log()[-6000:], file=sys.stderr)
        finally:
            stand.close()
    text = json.dumps({**report, "failures": failures}, indent=2)
    print(text)
    if args.report is not None:
        args.report.write_text(text + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
