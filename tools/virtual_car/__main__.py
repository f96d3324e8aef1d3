"""A car computer that boots, with its own kernel and systemd, and what happens to it: power cuts above all.

  python tools/virtual_car                                      every scenario once, after the image is made
  python tools/virtual_car --scenario upgrade_cut --tries 40    40 power cuts, at instants drawn by --seed
  python tools/virtual_car --json                               the table as JSON

It shows what works, never how fast: an emulated second means nothing. It ends with status 1 if a car did not recover.
"""

import argparse
import dataclasses
import json
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works before the project is installed, too
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "soak"))

from car import Car
from image import CarError, image
from null_artifact import write_null_artifact
from scenarios import SCENARIOS, Bundles, Deploy

from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.deployment.bundle import BundleRequest, build, parse_platform
from segfast_edge.deployment.signing import new_key


def _parser() -> argparse.ArgumentParser:
    parser = ExactParser(prog="virtual_car", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--scenario", action="append", choices=list(SCENARIOS), help="this one; repeatable (default: all)"
    )
    parser.add_argument("--tries", type=int, default=1, help="of each scenario but install (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the instants (default %(default)s)")
    parser.add_argument("--patience-s", type=float, default=300.0, help="for each wait (default %(default)s)")
    parser.add_argument("--health-s", type=int, default=240, help="for a release to be healthy (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    return parser


def _bundles(folder: Path) -> Bundles:
    artifact = write_null_artifact(folder / "artifact")
    new_key(folder / "car.key")
    names = []
    for name in ("old", "new"):
        (folder / name).write_text(f"the {name} release")
        packages = parse_platform("x86_64-3.11-2.36")  # Debian 12, whose own Pillow is too old
        request = BundleRequest(artifact, "null", folder / f"{name}.tar.gz", folder / name, packages)
        names.append(build(request, folder / "car.key")[0].release[:16])
    return Bundles(folder / "old.tar.gz", folder / "new.tar.gz", (names[0], names[1]), folder / "car.key.pub")


@dataclasses.dataclass(slots=True)
class Row:
    """One scenario's line in the table."""

    scenario: str
    tries: int = 0
    recovered: int = 0
    last: str = ""


def _attempt(row: Row, deploy: Deploy, chance: random.Random) -> bool:
    row.tries += 1
    try:
        row.last = SCENARIOS[row.scenario](deploy, chance)
        row.recovered += 1
    except CarError as error:
        row.last = str(error)
    print(f"{row.scenario} {row.tries}: {row.last}", file=sys.stderr, flush=True)
    return row.recovered == row.tries


def run(args: argparse.Namespace, folder: Path) -> list[Row]:
    """Run the scenarios in one car, one after another; stop at the first that does not recover."""
    car = Car(image(), folder, patience_s=args.patience_s)
    deploy = Deploy(car, _bundles(folder), args.health_s)
    wanted = ["install", *(name for name in args.scenario or SCENARIOS if name != "install")]
    rows = []
    try:
        car.power_on()
        for name in wanted:
            rows.append(Row(name))
            chance = random.Random(f"{args.seed} {name}")
            for _ in range(1 if name == "install" else args.tries):
                if not _attempt(rows[-1], deploy, chance):
                    return rows
    finally:
        car.power_off()
    return rows


def main() -> int:
    """Run the scenarios and print the table."""
    args = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="segfast-virtual-car-") as name:
        try:
            rows = run(args, Path(name))
        except CarError as error:
            print(f"virtual_car: {error}", file=sys.stderr)
            return 2
    if args.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        for row in rows:
            print(f"{row.scenario:<14}{row.tries:>4} tries{row.recovered:>4} recovered   {row.last}")
    return int(any(row.recovered != row.tries for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
