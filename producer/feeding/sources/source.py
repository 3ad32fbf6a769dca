"""What is opened and has to be closed, whatever happens meanwhile."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TypeVar

This = TypeVar("This", bound="Closing")


class Closing(ABC):
    """A context manager that closes itself."""

    def __enter__(self: This) -> This:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close it, for sure and at once. May be called again, and by another thread."""
