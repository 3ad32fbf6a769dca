"""A moving view of a lecture in a terminal: the class, each participant with a short history, and the ledger."""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from producer.presentation.clock import clock
from producer.presentation.palette import COLOURS, STACK
from producer.presentation.thresholds import SHADES, away_after_s
from producer.reading.analysis.names import Names, Roster, natural_order
from producer.reading.analysis.summary import displayed, ledger_line
from producer.reading.lectures import Lecture, LectureUnknown
from producer.terminal.outputs import Output
from worker.contract.messages import EMOTIONS, ClassEvent, EmotionEvent, EndEvent, Event, Scores, SlideEvent

# Seconds between two draws. A terminal over a slow line must keep up.
REFRESH_S = 0.25

# Seconds between two reads of the lecture's state in Redis.
POLL_S = 1.0

# Seconds of one block of a history, and the blocks that are kept, more than a terminal is wide.
BLOCK_S = 1.0
MAX_BLOCKS = 300

# A terminal with fewer columns than this has no "away" column. A history always has MIN_BLOCKS.
NARROW = 64
MIN_BLOCKS = 6
MAX_LABEL = 22

# Rows for everything but participants, and the participants that are always shown.
OTHER_ROWS = 10
MIN_PARTICIPANTS = 3

NOT_SEEN = "·"
NOT_READ = "-"  # seen, but no face could be read

MIN_CLASS_SHARE = 0.05
"""Smaller shares of the class are not listed."""

# The letter of each emotion, for terminals without colours or blocks.
LETTERS = dict(zip(EMOTIONS, "ADFHSUN", strict=True))


class LiveTable(Output):
    """Shows the events of a `whole` lecture, or of one participant, as a table that moves. `read` gives the lecture."""

    def __init__(
        self, lecture: str, read: Callable[[], Lecture], names: Names | None = None, whole: bool = True
    ) -> None:
        self._console = Console()
        colours = self._console.color_system is not None and not self._console.no_color
        colours = colours and self._console.encoding.startswith("utf")  # the blocks are in no other encoding
        self._screen = Screen(lecture, names, colours)
        self._whole = whole
        self._read = read
        self._polled = self._drawn = -POLL_S
        # No thread of its own: it draws between events.
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> "LiveTable":
        self._live.start()
        self.tick()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._poll()
            self._draw()
        finally:
            self._live.stop()

    def show(self, event: Event) -> None:
        """Add an event, and draw if it is time to."""
        self._screen.add(event)
        # The class event is a frame's last. Before it, participants whose event is still to come would appear gone.
        if not (self._whole and isinstance(event, EmotionEvent)):
            self.tick()

    def tick(self) -> None:
        """Draw if it is time to."""
        now = time.monotonic()
        if now - self._polled >= POLL_S:
            self._polled = now
            self._poll()
        if now - self._drawn >= REFRESH_S:
            self._drawn = now
            self._draw()

    def _poll(self) -> None:
        with suppress(LectureUnknown):  # forgotten meanwhile; the caller, who follows the events, reports it
            self._screen.standing = self._read()

    def _draw(self) -> None:
        self._live.update(self._screen.render(self._console.width, self._console.height), refresh=True)


class Screen:
    """Everything that is shown. Its size grows with the participants, not with the frames."""

    def __init__(self, lecture: str, names: Names | None = None, colours: bool = True) -> None:
        self.standing: Lecture | None = None
        self._colours = colours
        self._lecture = lecture
        self._names = names or Names(Roster())
        self._first = math.inf
        self._t = 0.0
        self._class: ClassEvent | None = None
        self._end: EndEvent | None = None
        self._participants: dict[str, _History] = {}

    def add(self, event: Event) -> None:
        if isinstance(event, EndEvent):
            self._end = event
            return
        if isinstance(event, SlideEvent):
            return
        self._first, self._t = min(self._first, event.t), max(self._t, event.t)
        if isinstance(event, ClassEvent):
            self._class = event
            return
        self._names.add(event)
        self._participants.setdefault(event.participant, _History(event)).add(event)

    def render(self, width: int, height: int) -> RenderableType:
        """The content for a terminal of `width` columns and `height` rows."""
        rows = max(MIN_PARTICIPANTS, height - OTHER_ROWS)
        lines = [self._headline(), *self._class_lines(width), Text(), *self._participant_rows(width, rows), Text()]
        return Group(*lines, self._legend(), *self._foot())

    def _headline(self) -> Text:
        return _line(Text.assemble((self._lecture, "bold"), f"  {clock(self._t)}  ", (self._status(), "italic")))

    def _status(self) -> str:
        if self._end is not None:
            return self._end.status
        if self.standing is not None and self.standing.abandoned:
            return "abandoned: its producer is gone"
        return "running" if self._class is not None or self._participants else "waiting for events"

    def _class_lines(self, width: int) -> list[Text]:
        event = self._class
        if event is None:
            return []
        affect = ""
        if event.valence is not None and event.arousal is not None:
            affect = f", valence {event.valence:+.2f}, arousal {event.arousal:+.2f} (a fixed linear map of the scores)"
        unread = f" ({event.unreadable} not readable)" if event.unreadable else ""
        unread += "; hidden, because the group is small" if event.hidden else ""
        faces = _line(Text(f"class  {event.faces} face{'' if event.faces == 1 else 's'} in view{unread}{affect}"))
        if event.scores is None:
            return [faces]
        ranked = sorted(event.scores.items(), key=lambda item: -item[1])
        shares = Text("     ")
        for emotion, share in ranked:
            part = Text("  ").append_text(self._swatch(emotion)).append(f"{emotion} {share:.0%}")
            if share < MIN_CLASS_SHARE or shares.cell_len + part.cell_len > width:
                break  # a number that is cut off could be read as another number
            shares.append_text(part)
        return [faces, self._bar(event.scores, max(width - 7, MIN_BLOCKS)), _line(shares)]

    def _participant_rows(self, width: int, rows: int) -> list[RenderableType]:
        if not self._participants:
            class_only = self._class is not None and self._class.faces > 0
            return [Text("nothing is published per person" if class_only else "nobody has been seen yet", "dim")]
        ranked = sorted(self._participants.items(), key=lambda item: (self._away(item[1]), natural_order(item[0])))
        shown = ranked if len(ranked) <= rows else ranked[: rows - 1]
        labels = [self._label(participant) for participant, _ in shown]
        said = [" ".join(displayed(history.last)) for _, history in shown]
        longest = min(max(map(len, labels)), MAX_LABEL)
        widest = max(len("# happiness 100%"), *(len(f"# {each}") for each in said))
        last = 0 if width < NARROW else len("away 0:00:00") + 2
        blocks = max(min(width - longest - widest - 4 - last, MAX_BLOCKS), MIN_BLOCKS)
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, max_width=MAX_LABEL, overflow="ellipsis")
        for _ in range(3 if last else 2):
            table.add_column(no_wrap=True)
        for label, words, (_, history) in zip(labels, said, shown, strict=True):
            away = self._away(history)
            emotion = history.last.emotion
            swatch = Text("  ") if away or emotion is None else self._swatch(emotion)
            cells = [Text(label), self._blocks(history, blocks), swatch.append(words)]
            table.add_row(*cells, *([Text(f"away {clock(away)}" if away else "", "dim")] if last else []))
        more = len(ranked) - len(shown)
        return [table, *([Text(f"and {more} more", "dim")] if more else [])]

    def _away(self, history: "_History") -> float:
        """Seconds since a participant's last sighting; 0 if they are not away."""
        unseen = self._t - history.last.t
        fps = self.standing.info.fps if self.standing is not None else None
        return unseen if unseen > away_after_s(fps) else 0.0

    def _label(self, participant: str) -> str:
        name = self._names.of(participant)
        return participant if name is None else f"{name} ({participant})"

    def _blocks(self, history: "_History", count: int) -> Text:
        newest = int(self._t / BLOCK_S)
        blocks = [self._block(history, number) for number in range(newest - count + 1, newest + 1)]
        text = Text(no_wrap=True)
        for (block, style), run in groupby(blocks):  # long runs are few bytes, for slow lines
            text.append(block * len(list(run)), style)
        return text

    def _block(self, history: "_History", block: int) -> tuple[str, str]:
        emotion, share = history.displayed(block)
        if emotion is not None:
            return self._shade(emotion, share)
        if history.seen(block):
            return NOT_READ, ""
        return (NOT_SEEN, "dim") if block >= self._first / BLOCK_S else (" ", "")

    def _foot(self) -> Iterable[Text]:
        if self._end is not None:
            reason = f" ({self._end.reason})" if self._end.reason else ""
            yield _line(Text(f"{self._end.status}{reason}: {ledger_line(self._end.ledger)}"))
        elif self.standing is not None:
            yield _line(Text(ledger_line(self.standing.ledger)))

    def _bar(self, scores: Scores, width: int) -> Text:
        """The shares side by side as one bar."""
        bar = Text("       ", no_wrap=True)
        end, drawn = 0.0, 0
        for emotion in reversed(STACK):
            end += scores.get(emotion, 0.0)
            length = max(min(round(end * width), width) - drawn, 0)
            block, style = self._shade(emotion)
            bar.append(block * length, style)
            drawn += length
        return bar

    def _legend(self) -> Text:
        legend = Text(no_wrap=True, overflow="ellipsis")
        for emotion in reversed(STACK):
            legend.append_text(self._swatch(emotion)).append(f"{emotion}  ")
        return legend.append(f"{NOT_READ} not readable")

    def _swatch(self, emotion: str) -> Text:
        """A coloured block to put before a word. The word itself would not be readable in some colours."""
        return Text.assemble(self._shade(emotion), " ")

    def _shade(self, emotion: str, share: float = 1.0) -> tuple[str, str]:
        """The character and the style of an emotion with this share."""
        if not self._colours:
            return LETTERS.get(emotion, "?"), ""
        return next(shade for start, shade in SHADES if share >= start), COLOURS.get(emotion, "")


class _History:
    """A participant's newest event, and the sums of scores of the last MAX_BLOCKS blocks of time."""

    def __init__(self, event: EmotionEvent) -> None:
        self.last = event
        self._blocks: dict[int, tuple[int, Scores]] = {}

    def add(self, event: EmotionEvent) -> None:
        if event.frame >= self.last.frame:
            self.last = event
        block = int(event.t / BLOCK_S)
        count, sums = self._blocks.get(block, (0, {}))
        if event.scores is not None:
            count, sums = count + 1, {each: sums.get(each, 0.0) + score for each, score in event.scores.items()}
        self._blocks[block] = count, sums
        if len(self._blocks) > MAX_BLOCKS:
            del self._blocks[min(self._blocks)]

    def seen(self, block: int) -> bool:
        return block in self._blocks

    def displayed(self, block: int) -> tuple[str | None, float]:
        """The emotion displayed most in a block of time (None if not seen or not readable), and its mean score."""
        count, sums = self._blocks.get(block, (0, {}))
        if not count:
            return None, 0.0
        emotion = max(sums, key=lambda each: sums[each])
        return emotion, sums[emotion] / count


def _line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
