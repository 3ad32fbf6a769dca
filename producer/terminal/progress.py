"""Progress displays on standard error: a bar for a recording, a line for a live source.

If `quiet`, nothing is displayed.
"""

import time
from collections.abc import Callable
from typing import Any

from producer.presentation.clock import clock
from worker.contract.messages import ClassEvent


class ProgressBar:
    """The progress of a recording: frames, media time and speed."""

    def __init__(self, lecture: str, expected_frames: int | None, quiet: bool = False) -> None:
        from rich.console import Console  # late: rich is slow to load
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._started = time.monotonic()
        self._begin: float | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[frames]} frames, {task.fields[at]}, {task.fields[speed]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True, quiet=quiet),
            refresh_per_second=4,
        )
        self._expected = expected_frames
        self._task = self._progress.add_task(f"ingesting {lecture}", total=expected_frames, **self._fields(0, 0.0))

    def start(self) -> None:
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()

    def advance(self, event: ClassEvent) -> None:
        frames = event.frame + 1
        self._begin = event.t if self._begin is None else self._begin
        self._progress.update(self._task, completed=frames, **self._fields(frames, event.t))

    def _fields(self, frames: int, t: float) -> dict[str, Any]:
        speed = (t - (self._begin or 0.0)) / max(time.monotonic() - self._started, 0.1)
        expected = f"/{self._expected}" if self._expected is not None else ""
        return {"frames": f"{frames}{expected}", "at": clock(t), "speed": f"{speed:.1f}x real time"}


class StatusLine:
    """The state of a live source: the result of `text`, once a second."""

    def __init__(self, text: Callable[[], str], quiet: bool = False) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._live = Live(
            get_renderable=lambda: Text(text(), no_wrap=True, overflow="ellipsis"),
            console=Console(stderr=True, quiet=quiet),
            refresh_per_second=1,
        )

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        self._live.stop()
        if not self._live.console.is_terminal:
            self._live.console.print()  # rich ends the line only in a terminal

    def advance(self, _: ClassEvent) -> None:
        """Does nothing: the line is about the source, which continues without events too."""
