"""Doing the same with many things on all cores, in order, with a bar on the terminal."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")
U = TypeVar("U")

THREADS = len(os.sched_getaffinity(0))


def in_threads(work: Callable[[T], U], items: Sequence[T], doing: str) -> Iterator[U]:
    """What `work` makes of each of `items`; threads do, as decoding and networks leave Python to itself meanwhile."""
    console = Console(stderr=True)
    pool = ThreadPoolExecutor(THREADS)
    try:
        results = pool.map(work, items)
        yield from track(results, doing, total=len(items), console=console, disable=not console.is_terminal)
    finally:
        pool.shutdown(cancel_futures=True)
