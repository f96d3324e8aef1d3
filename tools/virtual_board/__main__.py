"""Virtual boards: a real arm64 user-land and real aarch64 wheels under an emulator, behind a real ssh server.

  python tools/virtual_board build                       make the cache (once; about a minute)
  python tools/virtual_board start --board rpi4          start a board; prints how ssh reaches it
  python tools/virtual_board enter --board rpi5 -- CMD   run one command on a board
  python tools/virtual_board list | stop                 what runs; end it

They prove function, never speed: an emulated second means nothing, counted instructions do.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works before the project is installed, too

import build
import server
from boards import BOARDS
from failure import BoardError

from segfast_edge.contract.shared.arguments import ExactParser


def _parser() -> argparse.ArgumentParser:
    parser = ExactParser(
        prog="virtual_board", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    board = ExactParser(add_help=False)
    board.add_argument("--board", choices=sorted(BOARDS), default="rpi4")
    board.add_argument("--site", choices=sorted(build.SITES), default="current", help="packages on the board")
    board.add_argument("--disk-mb", type=int, default=2048, help="size of /tmp and the home folder together")
    verbs.add_parser("build", parents=[board], help="make the cache that every board shares")
    one = verbs.add_parser("start", parents=[board], help="start a board that ssh can reach")
    one.add_argument("--name", help="what to call it (default: the board's)")
    one.add_argument("--life", type=int, default=900, help="seconds after which it ends by itself; 0: never")
    inside = verbs.add_parser("enter", parents=[board], help="run one command on a board")
    inside.add_argument("--count", type=Path, metavar="FILE", help="write instruction counts (JSON lines)")
    inside.add_argument("command", nargs="*", metavar="CMD", help="default: a shell")
    verbs.add_parser("list", help="list the boards that run")
    verbs.add_parser("stop", help="end boards").add_argument("--name", help="this one only (default: all)")
    return parser


def _run(args: argparse.Namespace) -> int:
    if args.verb == "list":
        print(json.dumps([asdict(board) for name in server.names() if (board := server.find(name))], indent=2))
    elif args.verb == "stop":
        stopped = [name for name in ([args.name] if args.name else server.names()) if server.stop(name)]
        print(f"stopped: {', '.join(stopped) or 'nothing'}")
    elif args.verb == "build":
        architecture = BOARDS[args.board].architecture
        print(build.guest(architecture))
        print(build.site(args.site, architecture))
    elif args.verb == "start":
        request = server.BoardRequest(BOARDS[args.board], args.site, args.disk_mb, args.life)
        print(json.dumps(asdict(server.start(request, args.name or args.board)), indent=2))
    else:
        request = server.BoardRequest(BOARDS[args.board], args.site, args.disk_mb, 0)
        return server.enter(request, args.command or ["/bin/bash", "-i"], args.count)
    return 0


def main() -> int:
    """Run one verb; a board that cannot be had is one line and exit 2."""
    try:
        return _run(_parser().parse_args())
    except BoardError as error:
        print(f"virtual_board: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
