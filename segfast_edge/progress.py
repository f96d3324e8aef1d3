"""The types of functions that report progress."""

from collections.abc import Callable

Progress = Callable[[int, int], None]  # called with the number done and the total
Announce = Callable[[str], None]  # called with a few words about each step as it begins, for people
