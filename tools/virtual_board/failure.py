"""The one error of these tools: a line that says what cannot be had and why."""


class BoardError(Exception):
    """A virtual board cannot be built or started here."""
