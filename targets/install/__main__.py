"""``./install`` in a bundle, and what ``segfast-edge deploy`` runs on a device: install, roll back, list, verify."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.errors import SegfastError, TargetError, one_line
from targets.install.config import read_config
from targets.install.health import Patience
from targets.install.installer import Installer, stored_keys
from targets.install.layout import NAME_LENGTH, Layout
from targets.install.service_manager import KINDS, choose
from targets.install.trust import Trust, public_key, read_public_key
from targets.install.unpack import inspect


def default_root() -> Path:
    """Return where releases go: below /opt for root, below the home folder for anybody else."""
    return Path("/opt/segfast-edge") if os.getuid() == 0 else Path.home() / "segfast-edge"


def _parser(own: Path | None) -> argparse.ArgumentParser:
    parser = ExactParser(
        prog="install", description="Install a bundle on this device, and roll back if it does not run."
    )
    add = parser.add_argument
    if own is None:
        add("bundle", nargs="?", type=Path, help="bundle: a tar.gz file, or the folder it was unpacked to")
    else:
        parser.set_defaults(bundle=own)
    add("--root", type=Path, default=default_root(), help="folder of the releases (default %(default)s)")
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--trust", action="append", default=[], metavar="KEY.pub", help="trust this key, now and later")
    key.add_argument("--unsigned", action="store_true", help="install this bundle although it is not signed")
    add("--input", metavar="INPUT", help="input of the runner, as for run.py; kept for later releases")
    add("--config", type=Path, metavar="FILE", help="JSON file with input, outputs and options")
    add("--output", action="append", default=[], metavar="OUTPUT", help="output of the runner; may be repeated")
    add("--option", action="append", default=[], metavar="OPTION", help="an option for run.py, such as --rate=10")
    add(
        "--service",
        choices=KINDS,
        default="auto",
        help="what keeps the runner running (default: as before, else systemd if it runs)",
    )
    add("--python", default=sys.executable, help="interpreter for the runner (default %(default)s)")
    add(
        "--health-s",
        type=float,
        default=60.0,
        metavar="S",
        help="roll back a release that is not healthy within S seconds (default 60)",
    )
    add("--well-s", type=float, default=5.0, metavar="S", help="seconds that a release must stay healthy (default 5)")
    add("--keep", type=int, default=3, metavar="N", help="number of releases to keep (default 3)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--verify", action="store_true", help="verify the whole bundle, and do nothing else")
    what.add_argument("--dry-run", action="store_true", help="verify everything, but change nothing")
    what.add_argument("--rollback", action="store_true", help="go back to the previous release")
    what.add_argument("--list", action="store_true", help="list the installed releases, as JSON")
    return parser


def _key(text: str) -> bytes:
    """Read a key file, or the key itself where it came over ssh."""
    return public_key(text, "--trust") if text.startswith("-----BEGIN") else read_public_key(Path(text))


def _config(args: argparse.Namespace) -> dict[str, Any] | None:
    if args.config is not None:
        if args.input is not None or args.output or args.option:
            raise TargetError("--config stands in for --input, --output and --option; leave them out")
        return read_config(args.config)
    if args.input is None:
        if args.output or args.option:
            raise TargetError("--output and --option need --input")
        return None
    return {"input": args.input, "outputs": args.output, "options": args.option}


def _say(line: str) -> None:
    print(line, flush=True)


def _run(args: argparse.Namespace) -> None:
    layout = Layout(args.root.absolute())
    if args.list:
        print(json.dumps([asdict(release) for release in layout.installed()]))
        return
    service = choose(args.service, layout, args.python)
    patience = Patience(args.health_s, args.well_s)
    installer = Installer(layout, service, args.python, _say, patience, keep_service=args.service != "auto")
    if args.rollback:
        _say(f"release {installer.rollback()} is the current one")
        return
    if args.bundle is None:
        raise TargetError("give a bundle, --rollback or --list")
    if not 1 <= args.keep <= 1000:
        raise TargetError(f"--keep {args.keep} is outside 1 to 1000")
    trust = Trust((*stored_keys(layout), *map(_key, args.trust)), args.unsigned)
    if args.dry_run or args.verify:
        opened = installer.dry_run(args.bundle, trust) if args.dry_run else inspect(args.bundle, trust)
        signed = "unsigned" if opened.signed_by is None else f"signed by {opened.signed_by[:NAME_LENGTH]}"
        _say(f"release {opened.release[:NAME_LENGTH]} for {opened.listing.target}: {signed}, is whole")
        return
    _say(f"release {installer.install(args.bundle, trust, config=_config(args), keep=args.keep)} is installed")


def main(argv: Sequence[str] | None = None, own: Path | None = None) -> int:
    """Run one command and return the exit status; ``own`` is the unpacked bundle that this code is in."""
    os.umask(0o022)  # what is installed is for the service's own user to read
    try:
        _run(_parser(own).parse_args(argv))
    except SegfastError as error:
        print(f"install: {one_line(error)}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # what was begun is undone or done the next time; what runs was not touched, or taken back
        print(f"install: {one_line(error)}", file=sys.stderr)
        return SegfastError.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
