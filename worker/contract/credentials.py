"""Hiding credentials in URLs and in command lines. Quick to import, because it runs before everything else."""

import re
import sys
from urllib.parse import unquote, urlsplit

from setproctitle import setproctitle

UNREADABLE_URL = "not a URL that can be read; write / ? # @ in a password as %2F %3F %23 %40"


def without_credentials(url: str) -> str:
    """`url` without user, password, query and secret parts of its path; if it cannot be split, only its scheme.

    Secret parts are those with a `=` (`/user=admin&password=...`), those that look like a token, the one after a word
    such as `token`, and for RTMP and SRT all but the first of several, because the last ones are the stream's key.
    """
    try:
        parts = urlsplit(url)
        if "@" not in parts.path + parts.query + parts.fragment and (parts.port is None or parts.port):
            # Not urlunsplit, which turns unix:///path into unix:/path.
            scheme = f"{parts.scheme}://" if parts.scheme else ""
            path = _without_secrets(parts.scheme, parts.path) if parts.netloc else parts.path
            return scheme + parts.netloc.rpartition("@")[2] + path
    except ValueError:
        pass
    return f"{url.partition('://')[0][:10]}://..." if "://" in url else "..."


def masked(text: str) -> str:
    """`text` without the users, passwords, queries and secret path parts of URLs in it, including mistyped URLs."""
    return _ANY_URL.sub(_masked_url, _CREDENTIALS.sub(r"\1", text))


def hide_credentials() -> None:
    """Remove credentials in URLs from this process' title, which all users of the machine can read.

    Call this first: until then, for some hundredths of a second, other users can read them. To avoid that, a user puts
    the URL into the environment (REDIS_URL).
    """
    words = [masked(_URL.sub(lambda url: without_credentials(url[0]), word)) for word in sys.orig_argv]
    if words != sys.orig_argv:
        setproctitle(" ".join(words))


_HIDDEN = "..."
_PUNCTUATION = ".:;,"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)
_CREDENTIALS = re.compile(r"(://|\b(?:rtsp|rtmps?|https?|rediss?)(?::/*|/+))\S*@", re.IGNORECASE)

# In a line of text: scheme, host, path, and query or fragment. Upper-case hosts are those of advice (rtmp://HOST/PATH).
_ANY_URL = re.compile(
    r"\b([a-z][a-z0-9+.-]*://|(?:rtsp|rtmp\w{0,2}|srt|https?):/?(?!/))(?!(?-i:HOST))"
    r"([^\s/?#'\"()<>]+)(/[^\s?#'\"()<>]*)?([?#][^\s'\"()<>]*)?",
    re.IGNORECASE,
)
_KEYED = re.compile(r"rtmp\w{0,2}|srt", re.IGNORECASE)
"""Schemes whose path ends with a key."""

_ANNOUNCES = re.compile(
    r"(access[_-]?)?(token|key|auth|secret|passw(or)?d|pwd|sig|signature|hash|stream[_-]?key)", re.I
)
"""A part of a path behind which comes a secret."""

_TOKEN = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a UUID
    r"|([0-9a-z]{4}-){3,}[0-9a-z]{4}"  # a key as YouTube writes it
    r"|eyJ[\w.=-]+"  # a JSON web token
    r"|(?=.*[0-9])(?=.*[a-z])[0-9a-z+~%=]{16,}"  # letters and digits without a separator
    r"|[0-9]{18,}",  # more digits than a date has
    re.IGNORECASE,
)
_RUN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
"""What a name consists of: words and numbers. Those of a random token are short."""


def _masked_url(found: "re.Match[str]") -> str:
    scheme, host, path, rest = (part or "" for part in found.groups())
    given = rest or path
    end = given[len(given.rstrip(_PUNCTUATION)) :]  # it belongs to the sentence
    if not rest:
        path = path.removesuffix(end)
        if path.endswith("/") and end.startswith(_HIDDEN):  # the path was hidden before
            path, end = path + _HIDDEN, end.removeprefix(_HIDDEN)
    return scheme + host + _without_secrets(scheme.rstrip(":/"), path) + end


def _without_secrets(scheme: str, path: str) -> str:
    parts = path.split("/")
    several = sum(map(bool, parts)) > 1
    shown: list[str] = []
    for part in parts:
        keyed = _KEYED.fullmatch(scheme) and (any(shown) or not several)
        secret = keyed or _ANNOUNCES.fullmatch(shown[-1] if shown else "") or _looks_secret(part)
        shown.append(_HIDDEN if part and secret else part)
    return "/".join(shown)


def _looks_secret(part: str) -> bool:
    """Whether a part of a path holds a long random token, or a parameter. `part` may have the suffix of a file."""
    name = re.sub(r"\.[A-Za-z]\w{1,4}$", "", unquote(part))
    words = re.split(r"[-_.~ ]", name)
    return (
        "=" in part
        or any(_TOKEN.fullmatch(each) for each in (name, *words))
        or any(_random(each, 8, 2.0) or _random(each, 12, 2.5) or _no_word(each) for each in words)
        or _random(name, 16, 2.0)
        or _random(name, 20, 2.6)
    )


def _no_word(word: str) -> bool:
    """Whether `word` has at least 16 letters, and capitals or vowels unlike a name in a European language."""
    if len(word) < 16 or not word.isalpha():
        return False
    capitals = sum(map(str.isupper, word)) / len(word)
    vowels = len(re.findall("[^bcdfghjklmnpqrstvwxz]", word.lower())) / len(word)
    return 0.3 <= capitals <= 0.8 or vowels < 0.22


def _random(word: str, length: int, run: float) -> bool:
    """Whether `word` has at least `length` letters and digits, in runs that are shorter than `run` on average."""
    runs = _RUN.findall(word)
    count = sum(map(len, runs))
    return count >= length and count < run * len(runs)
