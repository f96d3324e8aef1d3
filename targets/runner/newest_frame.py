"""The place between two stages: one item, the newest."""

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ClosedError(Exception):
    """Nothing more will come out of a slot: it is closed and empty."""


class Slot(Generic[Item]):
    """Holds one item between two threads.

    With ``wait`` off a new item takes the place of one not yet taken, so the reader always gets the newest and
    memory is bounded by one item. With ``wait`` on the writer waits for the place to be free and nothing is lost.
    """

    def __init__(self, *, wait: bool) -> None:
        self._wait = wait
        self._item: Item | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: Item) -> Item | None:
        """Hand over an item; return the one that will not be taken for it: the older one, or this one once closed."""
        with self._changed:
            while self._wait and self._item is not None and not self._closed:
                self._changed.wait()
            if self._closed:
                return item
            superseded, self._item = self._item, item
            self._changed.notify_all()
            return superseded

    def take(self, timeout_s: float | None = None) -> Item | None:
        """Return the item, waiting for one; None after ``timeout_s``.

        Raises:
            ClosedError: closed and empty.
        """
        with self._changed:
            if self._item is None and not self._closed:
                self._changed.wait(timeout_s)
            item, self._item = self._item, None
            if item is not None:
                self._changed.notify_all()
            elif self._closed:
                raise ClosedError
            return item

    def close(self) -> None:
        """Take nothing more; what is in the slot can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
