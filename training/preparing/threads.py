"""Applying a function to many items in threads, in order, with a progress display in a terminal."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from worker.contract.cores import usable_cores

T = TypeVar("T")
U = TypeVar("U")

THREADS = usable_cores()


def in_threads(work: Callable[[T], U], items: Sequence[T], doing: str) -> Iterator[U]:
    """`work` of each item, in order. Threads are enough: decoding and networks release Python's lock."""
    console = Console(stderr=True)
    pool = ThreadPoolExecutor(THREADS)
    try:
        results = pool.map(work, items)
        yield from track(results, doing, total=len(items), console=console, disable=not console.is_terminal)
    finally:
        pool.shutdown(cancel_futures=True)
