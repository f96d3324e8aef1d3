"""The runner of a bundle: runs its own artifact with the settings of config.json or the command line."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from segfast_edge.contract.bundle_listing import LISTING, BundleListing, release_of
from segfast_edge.contract.shared.files import read_json
from segfast_edge.errors import SegfastError, TargetError, one_line
from targets.common.arguments import Parser
from targets.common.session import Options
from targets.common.target import target
from targets.install.config import words_of
from targets.install.guard import STATE
from targets.install.layout import NAME_LENGTH, Layout
from targets.install.trial import proven
from targets.runner.command_line import arguments, engine_arguments, run, self_test
from targets.runner.model import ModelChoice

ARTIFACT = "artifact"


def _installation(bundle: Path) -> Layout | None:
    """Return the installation that a release's folder is in, None for a bundle unpacked anywhere."""
    layout = Layout(bundle.parent.parent)
    return layout if bundle.parent == layout.releases else None


def configured(layout: Layout) -> list[str]:
    """Return the words of an installation's config.json: options, input, outputs.

    Raises:
        ArtifactError: it is missing, or not of that form.
    """
    return words_of(read_json(layout.config, "configuration"), layout.config)


def _parser() -> Parser:
    parser = Parser(prog="run.py", description="Run the artifact in this bundle.")
    engine_arguments(parser)
    arguments(parser)
    return parser


def main(folder: str, argv: Sequence[str] | None = None) -> int:
    """Run, or test, and return the exit status."""
    bundle, words = Path(folder), list(sys.argv[1:] if argv is None else argv)
    try:
        listing = (bundle / LISTING).read_bytes()
        where = target(BundleListing.from_bytes(listing).target)
        if not where.is_here(Path("/")):
            raise TargetError(f"this bundle is for target {where.name} ({where.description}); this computer is not one")
        release = release_of(listing)[:NAME_LENGTH]
        os.environ["SEGFAST_RELEASE"] = release
        if words[:1] == ["--self-test"]:
            print(self_test(ModelChoice(where, bundle / ARTIFACT, Options())))
            return 0
        layout = _installation(bundle)
        named = any(not word.startswith("-") for word in _without_status(words))
        typed, written = None, Path()
        if layout is not None and not named and "--help" not in words and "-h" not in words:
            typed = _typed(words)
            words = configured(layout)
            os.chdir(layout.root)  # where a relative path in config.json leads, however the runner was started
            written = Path(os.environ.get(STATE, ""))  # except one of an output, if systemd lets it write only there
        args = _parser().parse_args(words, typed)
        args.artifact = bundle / ARTIFACT
        args.written = written
        args.proven = None if layout is None else partial(proven, layout, release)
        return run(args, where)
    except (SegfastError, OSError) as error:
        print(f"segfast: {one_line(error)}", file=sys.stderr)
        return SegfastError.exit_code
    except KeyboardInterrupt:  # before the runner itself listens to signals
        return 130


def _typed(options: list[str]) -> argparse.Namespace:
    """Return what is given before config.json has its say, paths as they are meant where the runner was started."""
    typed: argparse.Namespace = _parser().parse_args([*options, "-"])  # the input stands in for the one to come
    for name, value in vars(typed).items():
        if isinstance(value, Path):
            setattr(typed, name, value.absolute())
    return typed


def _without_status(words: list[str]) -> list[str]:
    """Leave out ``--status-file FILE``, which the service adds; what else is given is the user's own choice."""
    if "--status-file" not in words:
        return words
    place = words.index("--status-file")
    return words[:place] + words[place + 2 :]
