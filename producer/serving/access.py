"""Access to the server, and the security headers of every answer.

On loopback every local client may read, but only if it uses a name of loopback: the name of a stranger's page could
point here too (DNS rebinding). Elsewhere a client needs the token that was printed at the start. A browser sends it
once in the address, and then a cookie. Programs send it in a header.
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

# A page may load only files of this server, no other page may frame it, and links from it carry no referrer.
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
    """The right to read from the server at `address` (an IP address) and `port`."""

    def __init__(self, address: str, port: int) -> None:
        self.token = None if ipaddress.ip_address(address).is_loopback else secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self._cookie = f"lecturepulse_{port}"  # cookies are shared between ports

    def refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that is refused; None if it is allowed."""
        headers = Headers(scope=scope)
        if scope["method"] not in METHODS:
            return PlainTextResponse("this server is read only\n", 405, {"Allow": ", ".join(METHODS)})
        if self.token is None:
            if _is_loopback_name(headers.get("host", "")):
                return None
            return PlainTextResponse("use the name localhost or 127.0.0.1 in the address\n", 421)
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
        """A page that sets the cookie and opens the address without its token.

        It is not a redirect: if a link on another page was clicked, a browser does not send a strict cookie after one.
        """
        # Exactly one slash at the beginning, because a browser takes //host/ as another server.
        to = html.escape("/" + path.lstrip("/\\") + (f"?{urlencode(words)}" if words else ""))
        page = HTMLResponse(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={to}">'
            f'<title>LecturePulse</title><p><a href="{to}">Continue</a></html>'
        )
        page.set_cookie(self._cookie, self._session, httponly=True, samesite="strict", path="/")
        return page


class Guard:
    """Passes allowed requests to `application`, and adds HEADERS to every answer."""

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
    """Whether a Host header names this machine itself. Any port is fine, because ports may be forwarded."""
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
    """Whether the two are equal. The time that this takes does not show where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())
