"""A camera that streams MJPEG over HTTP, as most network cameras and many phone apps do."""

from urllib.parse import quote, urlsplit

from segfast_edge.errors import DataError
from targets.runner.inputs import Input, InputOptions, public

FORM = "http://HOST/PATH or https:// (a camera's MJPEG stream)"

_PLAIN = "/%!$&'()*+,;=:@?~[]"  # what may stand in a path or query as it is (RFC 3986), and the mark of an escape
_LIKELY = "its host or port is wrong, or a password has '/', ':' or '@', which are written %2F, %3A and %40"


def matches(text: str) -> bool:
    """Say whether ``text`` is an HTTP address."""
    return text.lower().startswith(("http://", "https://"))


def open_input(text: str, options: InputOptions) -> Input:
    """Return the stream at an address.

    Raises:
        DataError: the address has no host or no valid port.
    """
    try:
        address = urlsplit(text)
        _ = address.port
        _ = (address.hostname or "").encode("idna")
    except ValueError as error:  # of which a UnicodeError is one
        # Python's own reason may repeat a part of the password
        why = "no host can have this name" if isinstance(error, UnicodeError) else _LIKELY
        raise DataError(f"'{public(text)}' is not a valid address: {why}") from error
    if not address.hostname:
        raise DataError(f"'{public(text)}' names no host")
    # as a browser would: what is no ASCII, and blanks, are escaped; what is escaped already stays
    address = address._replace(path=quote(address.path, safe=_PLAIN), query=quote(address.query, safe=_PLAIN))
    from targets.runner.inputs._http_stream import HttpStream  # 1.8 MB that no other source needs

    return HttpStream(address, options)
