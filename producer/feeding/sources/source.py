"""What an opened source offers to the feed, whether it is a recording, several, or a live stream."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, TypeVar

from producer.feeding.sources.address import SourceLabel
from producer.feeding.sources.frame import SampledFrame
from worker.contract.chapters import Chapter

This = TypeVar("This", bound="Source")


class Source(ABC):
    """An opened source, and a context manager that closes it.

    `width` and `height` are those of the first picture in pixels, as displayed and not scaled down. `expected` is the
    number of frames, None if it is unknown. If it is `live`, frames that are not read in time are lost.
    `chapters` are those that the file of a recording has.
    """

    live: ClassVar[bool]
    label: SourceLabel
    width: int
    height: int
    expected: int | None
    chapters: Sequence[Chapter] = ()

    @property
    @abstractmethod
    def shortfall(self) -> str | None:
        """After `frames`: one line that says what is missing of the source; None if nothing is missing."""

    @abstractmethod
    def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
        """The frames, until the source ends or `stop` is set.

        A recording may be asked again, once the frames before are not read any more, for those from number `first` on.
        By default they begin where it was opened. Frames also end if the decoder fails for good; `shortfall` says so.
        """

    @abstractmethod
    def close(self) -> None:
        """End the decoder at once. May be called again, and by another thread than that of `frames`."""

    def __enter__(self: This) -> This:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
