"""What may be shown of a URL, and of a command that has one among its words. Loads nothing that takes time."""

import re
import sys
from urllib.parse import urlsplit

from setproctitle import setproctitle


def without_credentials(url: str) -> str:
    """`url` as it may be shown: without user, password and query; only its scheme where they cannot be told apart.

    Nor with any part of its path that says what something is to be: cameras and streaming services have passwords there
    (`/user=admin&password=...`, `/token=...`).
    """
    try:
        parts = urlsplit(url)
        if "@" not in parts.path + parts.query + parts.fragment and (parts.port is None or parts.port):
            # Not by urlunsplit, which makes unix:/path of unix:///path.
            scheme = f"{parts.scheme}://" if parts.scheme else ""
            path = _PARAMETERS.sub("...", parts.path) if parts.netloc else parts.path
            return scheme + parts.netloc.rpartition("@")[2] + path
    except ValueError:
        pass
    return f"{url.partition('://')[0][:10]}://..." if "://" in url else "..."


def masked(text: str) -> str:
    """`text` as it may be shown: users and passwords of the URLs in it are taken out, mistyped ones among them."""
    return _CREDENTIALS.sub(r"\1", text)


def hide_credentials() -> None:
    """Take user, password and query of every URL out of this process' title, which all users of the machine can read.

    To be called first of all: until then, some hundredths of a second, they are there to be seen. A password that
    nobody may see at all belongs into the environment (REDIS_URL).
    """
    words = [masked(_URL.sub(lambda url: without_credentials(url[0]), word)) for word in sys.orig_argv]
    if words != sys.orig_argv:
        setproctitle(" ".join(words))


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)
_PARAMETERS = re.compile(r"[^/]*=[^/]*")
_CREDENTIALS = re.compile(r"(://|\b(?:rtsp|rtmps?|https?|rediss?)(?::/?|/+))\S*@", re.IGNORECASE)
