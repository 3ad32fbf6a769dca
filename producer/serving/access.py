"""Who may read, and what every answer says to the browser.

On loopback, whoever can reach it; but only under a name of loopback, since a page of a stranger may have its own name
lead here (DNS rebinding). Elsewhere, whoever has the token that was printed at the start: a browser brings it once, as
part of the address, and a cookie from then on; programs bring it in a header.
"""

import hmac
import html
import ipaddress
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD")

# A page may load what lies beside it, and nothing else; nothing may frame it; where it leads to learns nothing of it.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Access:
    """The right to read what is served at `address` (an IP address) and `port`."""

    def __init__(self, address: str, port: int) -> None:
        self.token = None if ipaddress.ip_address(address).is_loopback else secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self._cookie = f"lecturepulse_{port}"  # cookies do not tell ports apart

    def refusal(self, scope: Scope) -> Response | None:
        """What to answer to a request instead of what it asks for; None if it may have that."""
        headers = Headers(scope=scope)
        if scope["method"] not in METHODS:
            return PlainTextResponse("read only\n", 405, {"Allow": ", ".join(METHODS)})
        if self.token is None:
            if _is_loopback_name(headers.get("host", "")):
                return None
            return PlainTextResponse("ask for this under the name localhost or 127.0.0.1\n", 421)
        words = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if "token" in words and _equal(words.pop("token"), self.token):
            return self._welcome(scope["path"], words)
        if self._has_cookie(headers) or _equal(headers.get("authorization", ""), f"Bearer {self.token}"):
            return None
        needed = "open the address that `producer serve` printed, with its token\n"
        return PlainTextResponse(needed, 401, {"WWW-Authenticate": "Bearer"})

    def _has_cookie(self, headers: Headers) -> bool:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return found is not None and _equal(found.value, self._session)

    def _welcome(self, path: str, words: dict[str, str]) -> Response:
        """The cookie, and the way to the address without its token.

        Not by a redirect: after a click in some other page, the browser would leave a strict cookie out of it.
        """
        # One slash at its beginning, or a browser would take //host/ for another server.
        to = html.escape("/" + path.lstrip("/\\") + (f"?{urlencode(words)}" if words else ""))
        page = HTMLResponse(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={to}">'
            f'<title>LecturePulse</title><p><a href="{to}">Go on</a></html>'
        )
        page.set_cookie(self._cookie, self._session, httponly=True, samesite="strict", path="/")
        return page


class Guard:
    """Lets requests through to `application` that have the right to it, and puts HEADERS on every answer."""

    def __init__(self, application: ASGIApp, access: Access) -> None:
        self._application = application
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = self._access.refusal(scope)
        await (self._application if refused is None else refused)(scope, receive, send_with_headers)


def _is_loopback_name(host: str) -> bool:
    """Whether a Host header names this machine itself, at any port: it may be forwarded to."""
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host, ""
    if port and not (port.isascii() and port.isdecimal()):
        return False
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _equal(given: str, right: str) -> bool:
    """Whether the two are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())
