"""``,NAME=VALUE`` after an output's file or folder."""

from collections.abc import Collection, Mapping

from segfast_edge.errors import DataError


def options_of(argument: str, allowed: Collection[str], form: str) -> tuple[str, dict[str, str]]:
    """Split ``PLACE,NAME=VALUE,...`` into the place and its options.

    Raises:
        DataError: an option that is not allowed; the message calls the output ``form``.
    """
    place, *texts = argument.split(",")
    options = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in allowed or not equals:
            takes = " and ".join(f"{each}=N" for each in sorted(allowed))
            raise DataError(f"output option '{text}' is unknown; {form} takes {takes}")
        options[name] = value
    return place, options


def whole_number(options: Mapping[str, str], name: str, form: str) -> int | None:
    """Return an option that is a whole number from 1; None if it is not given."""
    value = options.get(name)
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) < 10**9:
        raise DataError(f"output option '{name}={value}' is out of range; {form} takes {name}=N, N from 1")
    return int(value)
