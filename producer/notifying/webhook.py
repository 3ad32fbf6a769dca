"""A webhook: where messages are sent, and the secret that signs them, as the Standard Webhooks specification says.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from worker.contract.credentials import UNREADABLE_URL, without_credentials

ADDRESS = "LECTUREPULSE_WEBHOOK"
"""The environment variable with the address, for lectures that another program starts: `serve`, compose, the chart."""

SECRET = "LECTUREPULSE_WEBHOOK_SECRET"  # nosec B105  # a name
"""The environment variable with the secret."""

PREFIX = "whsec_"
MIN_SECRET, MAX_SECRET = 24, 64
"""Bytes of a secret (the specification, "Signature scheme")."""

_MAKE = f'export {SECRET}="{PREFIX}$(openssl rand -base64 32)"'


@dataclass(frozen=True)
class Webhook:
    """`url` may contain a token; show `shown` instead. The key never appears in a log."""

    url: str = field(repr=False)
    key: bytes = field(repr=False)

    @property
    def shown(self) -> str:
        return without_credentials(self.url)

    def headers(self, id: str, timestamp: int, body: bytes) -> dict[str, str]:
        """The headers of a message. `id` stays when it is sent again; `timestamp` is the attempt's, seconds since 1970.

        The signature is that of `ID.TIMESTAMP.BODY`, HMAC-SHA256.
        """
        digest = hmac.digest(self.key, f"{id}.{timestamp}.".encode() + body, "sha256")
        return {
            "content-type": "application/json",
            "user-agent": "LecturePulse",
            "webhook-id": id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }


def checked_webhook(url: str, secret: str | None) -> Webhook:
    """The webhook at `url` with the `secret` of the environment. ValueError says what is wrong, without the secret."""
    if secret is None:
        raise ValueError(f"the secret that signs the messages is not set; make one: {_MAKE}")
    return Webhook(_checked_url(url), _key(secret))


def _checked_url(url: str) -> str:
    shown = without_credentials(url)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{shown}: {UNREADABLE_URL}") from None
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"{shown!r} is not an address like https://HOST/PATH")
    if "@" in parts.netloc:
        raise ValueError(f"{shown} has a user or password; leave them out, because messages are signed")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError(f"{shown} is not encrypted; write https:// (http:// is for this machine only)")
    return parts._replace(fragment="").geturl()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _key(secret: str) -> bytes:
    text = secret.strip().removeprefix(PREFIX).rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if not secret.strip().startswith(PREFIX) or not MIN_SECRET <= len(key) <= MAX_SECRET:
        raise ValueError(
            f"{SECRET} is not {PREFIX} and the base64 of {MIN_SECRET} to {MAX_SECRET} bytes; make one: {_MAKE}"
        )
    return key
