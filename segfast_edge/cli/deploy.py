"""segfast-edge deploy: a bundle to a device, proven there before it runs, and rolled back if it is not healthy."""

import argparse
import json
from pathlib import Path

from segfast_edge.errors import TargetError

HELP = "install a bundle on a device over ssh, and roll back if it does not run there"
EXAMPLE = (
    "segfast-edge deploy car.tar.gz --host pi@car --trust car.key.pub --input /dev/video0 --output web:8080\n"
    "  segfast-edge deploy --rollback --host pi@car"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("bundle", nargs="?", type=Path, metavar="BUNDLE", help="file that 'segfast-edge bundle' wrote")
    parser.add_argument("--host", required=True, metavar="USER@HOST", help="device to install on, as ssh takes it")
    parser.add_argument(
        "--root", metavar="DIR", help="folder on the device (default: /opt/segfast-edge, or ~/segfast-edge)"
    )
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--trust", type=Path, metavar="KEY.pub", help="public key of the signature; the device keeps it")
    key.add_argument("--unsigned", action="store_true", help="install a bundle without a signature")
    parser.add_argument("--input", metavar="INPUT", help="input of the runner; kept for later releases")
    parser.add_argument("--output", action="append", default=[], metavar="OUTPUT", help="output; may be repeated")
    parser.add_argument("--option", action="append", default=[], metavar="OPTION", help="option, such as --rate=10")
    parser.add_argument("--config", type=Path, metavar="FILE", help="JSON file with input, outputs and options")
    parser.add_argument("--service", metavar="KIND", help="auto, systemd, process or none (default auto)")
    parser.add_argument(
        "--health-s",
        type=float,
        metavar="S",
        help="roll back a release that is not healthy within S seconds (default 60)",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="copy and verify, but change nothing")
    what.add_argument("--rollback", action="store_true", help="go back to the previous release")
    what.add_argument("--list", action="store_true", help="list the installed releases")
    parser.add_argument("--json", action="store_true", help="with --list: print JSON")


def run(args: argparse.Namespace) -> int:
    """Install, roll back or list."""
    from rich.console import Console

    from segfast_edge.cli._progress import status
    from segfast_edge.cli._volume import volume
    from segfast_edge.deployment.deploy import Deployment, deploy

    if args.bundle is None and not (args.rollback or args.list):
        raise TargetError("name a bundle to install, or pass --rollback or --list")
    if args.bundle is not None and (args.rollback or args.list):
        raise TargetError(f"--rollback and --list take no bundle; leave out {args.bundle}")
    deployment = Deployment(_words(args), args.bundle, args.trust, args.unsigned, _config(args))
    console = Console(stderr=True)
    with status(f"reaching {args.host}", console) as show:

        def announce(line: str) -> None:
            if not args.list and not volume.quiet:
                console.print(line, markup=False, highlight=False)
            show(line)

        lines = deploy(deployment, args.host, announce)
    if args.list:
        _show(json.loads(lines[-1]), as_json=args.json)
    return 0


def _words(args: argparse.Namespace) -> list[str]:
    words = []
    for name in ("root", "service"):
        value = getattr(args, name)
        if value is not None:
            words.append(f"--{name}={value}")
    if args.health_s is not None:
        words.append(f"--health-s={args.health_s}")
    return words + [f"--{name}" for name in ("dry-run", "rollback", "list") if getattr(args, name.replace("-", "_"))]


def _config(args: argparse.Namespace) -> str | None:
    """Return the configuration as JSON; it travels in a file, so that no password stands in a process's arguments."""
    if args.config is None:
        if args.input is None and (args.output or args.option):
            raise TargetError("--output and --option need --input")
        value = {"input": args.input, "outputs": args.output, "options": args.option}
        return None if args.input is None else json.dumps(value)
    if args.input is not None or args.output or args.option:
        raise TargetError("--config stands in for --input, --output and --option; leave them out")
    try:
        return str(args.config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"cannot read configuration {args.config}: {error}") from error


def _show(releases: list[dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(releases, indent=2))
        return
    from rich.table import Table

    from segfast_edge.cli._console import console

    table = Table("release", "artifact", "target", "version", "")
    for release in releases:
        mark = "current" if release["current"] else "previous" if release["previous"] else ""
        table.add_row(*(str(release[key]) for key in ("name", "title", "target", "version")), mark)
    console().print(table if releases else "nothing is installed there")
