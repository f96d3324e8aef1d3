"""Finding out which dataset's layout a folder has."""

from collections.abc import Mapping
from pathlib import Path

from segfast_edge.data import datasets, open_source, with_options
from segfast_edge.data.pairs import PairedSource
from segfast_edge.data.sample import Source
from segfast_edge.errors import DataChoiceError, DataError

LAST = "folder"  # what any images/ and labels/ could be, so it is tried after the published layouts


def recognise(root: Path, options: Mapping[str, str] | None = None) -> tuple[str, Source]:
    """Return the dataset whose layout a folder has, and its name; published layouts come before a plain folder.

    Raises:
        DataError: no layout fits, the message being the plain folder's, which says what it looks for; or one fits
            and needs a choice.
    """
    if not root.is_dir():
        raise DataError(f"no such folder: {root}")
    for name in sorted(datasets(), key=lambda name: name == LAST):
        chosen = with_options(name, options or {})
        try:
            source = open_source(chosen, root)
        except DataChoiceError:
            raise
        except DataError:
            if name == LAST:
                raise
            continue
        if isinstance(source, PairedSource):  # what needs no folder would fit any
            return chosen, source
    raise DataError(f"{root} has the layout of no dataset; known: {', '.join(datasets())}")


def recognised(root: Path | None, options: Mapping[str, str]) -> str:
    """Return the name, with ``options``, of the dataset whose layout a folder has.

    Raises:
        DataError: as ``recognise`` does, or there is no folder to look at.
    """
    if root is None:
        raise DataError("--data auto looks at a folder; say which: --data-root DIR")
    return recognise(root, options)[0]
