"""The worker: faces, emotions and participants, from frames in Redis to events in Redis.

For programs: `from worker import Analyzer`, which needs no Redis (docs/api.md). It is loaded when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker.analyzer import Analyzer, Face

    __version__: str

__all__ = ["Analyzer", "Face", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("lecturepulse")
    if name in __all__:
        from worker import analyzer

        return getattr(analyzer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
