"""The options that change how a dataset on disk is read, and the dataset's name that they lead to."""

import argparse
from pathlib import Path

_OPTIONS = (
    ("map", "FILE", "TOML file that renames, merges and ignores classes"),
    ("group", "REGEX", "divide train and val anew; pictures with the same match in their names stay together"),
    ("val-group", "NAMES", "groups that become val, joined by + (default: drawn by a hash, a fifth of the pictures)"),
    ("images", "DIR", "layout folder: where the pictures are, below --data-root"),
    ("labels", "DIR", "layout folder: where the label files are, below --data-root"),
    ("image-suffix", "END", "layout folder: end of the pictures' names, such as _leftImg8bit.png"),
    ("label-suffix", "END", "layout folder: end of the label files' names, such as _gtFine_labelTrainIds.png"),
)


def dataset_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options; each can also be written behind the dataset's name, as in ``--data folder:group=REGEX``."""
    group = parser.add_argument_group("how a dataset on disk is read")
    for flag, metavar, text in _OPTIONS:
        group.add_argument(f"--{flag}", metavar=metavar, help=text)
    group.add_argument("--convert-rgb", action="store_true", help="convert pictures of other modes to RGB")


def chosen_options(args: argparse.Namespace) -> dict[str, str]:
    """Return the dataset options that were asked for; a mapping's path no longer depends on the current folder."""
    given = {flag: getattr(args, flag.replace("-", "_")) for flag, *_ in _OPTIONS}
    if given["map"] is not None:
        given["map"] = str(Path(given["map"]).resolve())
    found = {flag: value for flag, value in given.items() if value is not None}
    return found | ({"convert-rgb": "yes"} if args.convert_rgb else {})


def dataset_name(name: str | None, root: Path | None, options: dict[str, str]) -> str:
    """Return the dataset's name with its options; without a name, the layout of ``root`` is found by looking.

    Raises:
        DataError: ``root`` has no known layout, or options are given and no dataset is.
    """
    from segfast_edge.data import with_options
    from segfast_edge.data.recognise import recognised

    if name is None and root is None:
        return with_options("scenes", options)
    return recognised(root, options) if name is None or name == "auto" else with_options(name, options)
