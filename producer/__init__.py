"""The producer: it feeds lectures to the workers, and reads their results.

For programs: `from producer import follow, lectures` (docs/api.md). They are loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producer.subscribing import follow, lectures

    __version__: str

__all__ = ["__version__", "follow", "lectures"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("lecturepulse")
    if name in __all__:
        from producer import subscribing

        return getattr(subscribing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
