"""What may be shown of a URL, and of a command that has one among its words. Loads nothing that takes time."""

import re
import sys
from urllib.parse import urlsplit

from setproctitle import setproctitle


def without_credentials(url: str) -> str:
    """`url` as it may be shown: without user, password and query; only its scheme where they cannot be told apart."""
    try:
        parts = urlsplit(url)
        if "@" not in parts.path + parts.query + parts.fragment and (parts.port is None or parts.port):
            # Not by urlunsplit, which makes unix:/path of unix:///path.
            scheme = f"{parts.scheme}://" if parts.scheme else ""
            return scheme + parts.netloc.rpartition("@")[2] + parts.path
    except ValueError:
        pass
    return f"{url.partition('://')[0][:10]}://..." if "://" in url else "..."


def hide_credentials() -> None:
    """Take user, password and query of every URL out of this process' title, which all users of the machine can read.

    To be called first of all: until then, some hundredths of a second, they are there to be seen. A password that
    nobody may see at all belongs into the environment (REDIS_URL).
    """
    words = [_URL.sub(lambda url: without_credentials(url[0]), word) for word in sys.orig_argv]
    if words != sys.orig_argv:
        setproctitle(" ".join(words))


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)
