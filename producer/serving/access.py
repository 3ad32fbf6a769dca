"""Access to the server, and the security headers of every answer.

On loopback every local client may read, but only if it uses a name of loopback: the name of a stranger's page could
point here too (DNS rebinding). Elsewhere, or if the user gave a token, a client needs the token. A browser sends
it once in the address, and then a cookie. Programs send it in a header.

A request that changes something must not come from a page of another site, which a browser says in its headers, nor on
loopback from another user of this machine.
"""

import hmac
import html
import ipaddress
import os
import secrets
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producer.serving.answers import Problem, json

READING = ("GET", "HEAD")
WRITING = ("POST", "DELETE")

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
    """The right to read from the server at `address` (an IP address) and `port`, and to write if it is `writable`.

    `token` is the one that the user gave; without one, a new one is made if the address is not loopback.
    """

    def __init__(self, address: str, port: int, writable: bool, token: str | None = None) -> None:
        loopback = ipaddress.ip_address(address).is_loopback
        self.token = token or (None if loopback else secrets.token_urlsafe(32))
        # The cookie opens as much as the token, and lasts as long, but does not show it.
        self._session = hmac.digest((self.token or "").encode(), b"cookie", "sha256").hex()
        self._cookie = f"lecturepulse_{port}"  # cookies are shared between ports
        self._methods = READING + (WRITING if writable else ())

    def refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that is refused; None if it is allowed."""
        headers = Headers(scope=scope)
        if scope["method"] not in self._methods:
            why = "this server is read only\n" if self._methods == READING else "there is no such method here\n"
            return PlainTextResponse(why, 405, {"Allow": ", ".join(self._methods)})
        return self._stranger(scope, headers) or (None if scope["method"] in READING else self._other_site(headers))

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a client that may not read, or on loopback not write; None if it may."""
        if self.token is None:
            if not _is_loopback_name(headers.get("host", "")):
                return PlainTextResponse("use the name localhost or 127.0.0.1 in the address\n", 421)
            if scope["method"] in WRITING and _is_other_user(scope):
                return PlainTextResponse("only the user who started this server may change something\n", 403)
            return None
        words = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if scope["method"] in READING and "token" in words and _equal(words.pop("token"), self.token):
            return self._welcome(scope["path"], words)
        if self._has_cookie(headers) or _equal(headers.get("authorization", ""), f"Bearer {self.token}"):
            return None
        needed = "open the address that `producer serve` printed, with its token\n"
        return PlainTextResponse(needed, 401, {"WWW-Authenticate": "Bearer"})

    def _other_site(self, headers: Headers) -> Response | None:
        """The answer to a request from a page of another site; None if it comes from ours, or from a program."""
        site, origin = headers.get("sec-fetch-site", "same-origin"), headers.get("origin")
        with suppress(ValueError):  # an origin that is not an address
            ours = origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
            if ours and site == "same-origin":
                return None
        return PlainTextResponse("only a page of this server may change something\n", 403)

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
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)  # a report has a policy of its own
            await send(message)

        refused = self._access.refusal(scope)
        if isinstance(refused, PlainTextResponse) and "text/html" not in Headers(scope=scope).get("accept", ""):
            refused = _for_program(refused)
        await (self._application if refused is None else refused)(scope, receive, send_with_headers)


def _for_program(refusal: PlainTextResponse) -> Response:
    """The refusal in the form of the API's errors."""
    answer = json(Problem(bytes(refusal.body).decode().strip()), refusal.status_code)
    answer.headers.update({name: value for name, value in refusal.headers.items() if not name.startswith("content-")})
    return answer


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


def _is_other_user(scope: Scope) -> bool:
    """Whether the connection to loopback belongs to another user of this machine. False if Linux does not say."""
    client, server = scope.get("client"), scope.get("server")
    if not client or not server:
        return False
    ports = f":{client[1]:04X}", f":{server[1]:04X}"
    owners = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            rows = (line.split() for line in Path(table).read_text().splitlines()[1:])
            owners |= {int(row[7]) for row in rows if row[1].endswith(ports[0]) and row[2].endswith(ports[1])}
    return bool(owners - {os.getuid(), 0})


def _equal(given: str, right: str) -> bool:
    """Whether the two are equal. The time that this takes does not show where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())
