"""Who may look: anyone on this machine, or whoever has the token."""

import hmac
import http
import http.cookies
from dataclasses import dataclass
from email.message import Message
from urllib.parse import parse_qs, urlsplit

COOKIE = "segfast_token"
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Admission:
    """``refusal``: the status to answer with, None to let in; ``cookie``: the token to keep in one, with a redirect."""

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

    def admit(self, headers: Message, query: str) -> Admission:
        """Decide on one request."""
        if self._token is None:
            return Admission() if _is_here(headers.get("Host", "")) else Admission(http.HTTPStatus.FORBIDDEN)
        if self._fits(headers.get("Authorization", "").removeprefix("Bearer ")):
            return Admission()
        if self._fits(_cookie(headers.get("Cookie", ""))):
            return Admission()
        given = parse_qs(query, max_num_fields=20).get("token", [""])[0] if len(query) < 2000 else ""
        if self._fits(given):
            return Admission(cookie=given)
        return Admission(http.HTTPStatus.UNAUTHORIZED)

    def _fits(self, given: str) -> bool:
        assert self._token is not None
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())


def _is_here(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in _HERE
    except ValueError:
        return False


def _cookie(text: str) -> str:
    try:
        found = http.cookies.SimpleCookie(text).get(COOKIE)
    except http.cookies.CookieError:
        return ""
    return "" if found is None else found.value
