"""Hiding credentials in URLs and in command lines. Quick to import, because it runs before everything else."""

import re
import sys
from urllib.parse import urlsplit

from setproctitle import setproctitle

UNREADABLE_URL = "not a URL that can be read; write / ? # @ in a password as %2F %3F %23 %40"


def without_credentials(url: str) -> str:
    """`url` without user, password and query; if these cannot be separated from the rest, only its scheme.

    Parts of the path with a `=` are left out too, because cameras and streaming services put passwords there
    (`/user=admin&password=...`, `/token=...`).
    """
    try:
        parts = urlsplit(url)
        if "@" not in parts.path + parts.query + parts.fragment and (parts.port is None or parts.port):
            # Not urlunsplit, which turns unix:///path into unix:/path.
            scheme = f"{parts.scheme}://" if parts.scheme else ""
            path = _PARAMETERS.sub("...", parts.path) if parts.netloc else parts.path
            return scheme + parts.netloc.rpartition("@")[2] + path
    except ValueError:
        pass
    return f"{url.partition('://')[0][:10]}://..." if "://" in url else "..."


def masked(text: str) -> str:
    """`text` without the users and passwords of the URLs in it, including mistyped URLs."""
    return _CREDENTIALS.sub(r"\1", text)


def hide_credentials() -> None:
    """Remove user, password and query of every URL from this process' title, which all users of the machine can read.

    Call this first: until then, for some hundredths of a second, other users can read them. To avoid that, a user puts
    the URL into the environment (REDIS_URL).
    """
    words = [masked(_URL.sub(lambda url: without_credentials(url[0]), word)) for word in sys.orig_argv]
    if words != sys.orig_argv:
        setproctitle(" ".join(words))


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)
_PARAMETERS = re.compile(r"[^/]*=[^/]*")
_CREDENTIALS = re.compile(r"(://|\b(?:rtsp|rtmps?|https?|rediss?)(?::/?|/+))\S*@", re.IGNORECASE)
