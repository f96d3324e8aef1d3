"""Access to the live page: from this machine, or with the token."""

import hmac
import http
import re
from dataclasses import dataclass
from email.message import Message
from urllib.parse import unquote, unquote_plus, urlsplit

COOKIE = "segfast_token"
_MAX_QUERY = 2000
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Admission:
    """``refusal``: the status to answer with, None to let in; ``cookie``: what to keep in one, with a redirect."""

    refusal: http.HTTPStatus | None = None
    cookie: str | None = None


class Access:
    """Decides by the token, or without one by the name the request is addressed to.

    That name must be this machine's own, so that no web page elsewhere can make a browser here ask in its place (DNS
    rebinding). A token must be in the request: as ``Authorization: Bearer``, as ``?token=`` once, or in the cookie
    which that leaves.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token
        # what the cookie holds: any token may have characters that a cookie may not
        self.cookie = hmac.digest((token or "").encode(), b"segfast-edge cookie", "sha256").hex()

    def admit(self, headers: Message, query: str) -> Admission:
        """Decide on one request."""
        if self._token is None:
            return Admission() if _is_here(headers.get("Host", "")) else Admission(http.HTTPStatus.FORBIDDEN)
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._fits(given.strip()):
            return Admission()
        if hmac.compare_digest(_cookie(headers.get("Cookie", "")).encode("utf-8", "replace"), self.cookie.encode()):
            return Admission()
        if len(query) < _MAX_QUERY and any(self._fits(each) for each in _tokens(query)):
            return Admission(cookie=self.cookie)
        return Admission(http.HTTPStatus.UNAUTHORIZED)

    def _fits(self, given: str) -> bool:
        """Compare with the token; a line of a request is read as Latin-1, whatever it was written in."""
        assert self._token is not None
        ways = [given.encode(code, "replace") for code in ("utf-8", "latin-1")]
        return any(hmac.compare_digest(way, self._token.encode()) for way in ways)


def _tokens(query: str) -> list[str]:
    """Return every way to read ``token=`` in a query: people type '+', '%' and '&' as they stand in the token."""
    found = re.search(r"(?:^|&)token=(.*)", query)
    if found is None:
        return []
    texts = (found[1].partition("&")[0], found[1])
    return [read(text) for text in texts for read in (unquote, unquote_plus, str)]


def _is_here(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in _HERE
    except ValueError:
        return False


def _cookie(text: str) -> str:
    """Return our cookie's value; others of this host are none of our business, however they are written."""
    for part in text.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
