"""Classes of datasets that mark objects: what lies outside of all of them is a class, or does not count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segfast_edge.contract.classes import IGNORED, ClassSet, Colour, distinct_palette
from segfast_edge.errors import DataError

BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class Drawing:
    """The classes, the id of each object's name, and the label of what no object covers."""

    classes: ClassSet
    ids: Mapping[str, int]
    background: int


def drawing(names: Sequence[str], background: str, palette: Sequence[Colour] = ()) -> Drawing:
    """Return the classes for objects of these names; ``background`` is "class" or "ignored".

    As a class it comes first, unless one of the names is background already.

    Raises:
        DataError: another value of ``background``, or names that are not classes.
    """
    if background not in ("class", "ignored"):
        raise DataError(f"dataset option background={background}; allowed are class and ignored")
    own = next((label for label, name in enumerate(names) if name.lower() == BACKGROUND), None)
    before = (BACKGROUND,) if background == "class" and own is None else ()
    counted = (*before, *names)
    colours = (*((0, 0, 0),) * len(before), *(palette or distinct_palette(len(names))))
    ids = {name: label + len(before) for label, name in enumerate(names)}
    if background == "ignored":
        return Drawing(ClassSet(counted, colours), ids, IGNORED)
    return Drawing(ClassSet(counted, colours), ids, own or 0)
