"""The live page: overlay, plots of latency and age, health; and /metrics and /healthz beside it."""

import ipaddress

from segfast_edge.errors import DataError
from targets.runner.frames import Notice, Result
from targets.runner.output_thread import Output
from targets.runner.outputs import OutputContext
from targets.runner.web.feed import Feed
from targets.runner.web.server import PageServer

FORM = "web:[HOST:]PORT (a live page, /metrics and /healthz; 127.0.0.1 unless HOST is given, which needs a token)"
MIN_TOKEN = 16


def open_output(argument: str, context: OutputContext) -> Output:
    """Begin to listen.

    Raises:
        DataError: not a port, a host other than this machine without a token, or the port is taken.
    """
    host, _, port = argument.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise DataError(f"output 'web:{argument}' needs a port from 0 to 65535, for example web:8080")
    token = context.token
    if not _loopback(host) and token is None:
        raise DataError(
            f"output 'web:{argument}' can be reached from other machines, so it needs a token:"
            f" set SEGFAST_TOKEN or pass --token-file"
        )
    if token is not None and len(token) < MIN_TOKEN:
        raise DataError(f"the token has {len(token)} characters; at least {MIN_TOKEN} are needed")
    if token is not None and not token.isprintable():
        raise DataError("the token has characters that cannot be typed; use letters, digits and signs")
    feed = Feed()
    return Web(feed, PageServer((host, int(port)), context.telemetry, feed, token=token))


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Web:
    """Hands the newest result to whoever looks; never slow, because the looking is done elsewhere."""

    def __init__(self, feed: Feed, server: PageServer) -> None:
        self._feed = feed
        self.server = server

    @property
    def wants_frame(self) -> bool:
        """Whether anybody is looking."""
        return self._feed.watched

    def write(self, result: Result) -> None:
        """Show a result."""
        self._feed.put(result)

    def notice(self, notice: Notice) -> None:
        """Show that there is none."""
        self._feed.put(notice)

    def close(self) -> None:
        """Stop listening."""
        self._feed.close()
        self.server.close()
