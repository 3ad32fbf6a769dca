"""Why frames fail or are dropped: one list of words, for the ledger and for the metrics. Pure.

The lists are closed, because the text of an exception, or of a stranger, may contain anything.
"""

from typing import Literal, get_args

FailureReason = Literal["bad_picture", "error", "expired", "foreign", "picture_too_large", "timeout", "worker_died"]
"""Why a frame failed. `foreign`: no worker of ours wrote the outcome of its chunk."""

DropReason = Literal["overload", "redis_lost"]
"""Why a live source's frame was dropped. `overload`: there was no room in time. `redis_lost`: it was fed, and Redis
restarted without it."""

FAILURES: tuple[FailureReason, ...] = get_args(FailureReason)
DROPS: tuple[DropReason, ...] = get_args(DropReason)

DAMAGED = "published:damaged"
"""The ledger's field for published frames with a damaged picture."""

PREFIXES = ("dropped:", "failed:", DAMAGED)
"""Prefixes of the ledger's fields that count frames by reason."""


def failed(reason: FailureReason) -> str:
    """The ledger's field for frames that failed for this reason."""
    return f"failed:{reason}"


def dropped(reason: DropReason) -> str:
    """The ledger's field for frames that were dropped for this reason."""
    return f"dropped:{reason}"
