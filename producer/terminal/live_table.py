"""A lecture on a terminal, moving: the class, every participant with a short history, and where the frames went."""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import groupby
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from producer.presentation.clock import clock
from producer.presentation.palette import COLOURS, STACK
from producer.reading.analysis.summary import ledger_line
from producer.reading.lectures import Lecture, LectureUnknown
from producer.reading.roster import Names
from worker.contract.messages import EMOTIONS, ClassEvent, EmotionEvent, EndEvent, Event, Scores

# Seconds between two pictures, at least: a terminal over a slow line has to keep up.
REFRESH_S = 0.25

# How often Redis is asked how the lecture stands.
STANDING_S = 1.0

# Somebody not seen for longer is said to be away; anything shorter is a face turned aside.
AWAY_S = 5.0

# Seconds of a history that one block stands for, and the blocks that are kept: more than a terminal is wide.
BLOCK_S = 1.0
MOST_BLOCKS = 300

# Below so many columns, the last one is left out; and however few there are, a history has so many blocks.
NARROW = 64
FEWEST_BLOCKS = 6
LONGEST_WHO = 22

# Rows for all but the participants, and the fewest of those that are shown.
OTHER_ROWS = 10
FEWEST_PEOPLE = 3

# How strongly something is displayed: how much of a block its colour covers.
SHADES = ((0.75, "█"), (0.5, "▓"), (0.0, "▒"))
NOT_SEEN = "·"

# What is displayed, where there are no colours.
LETTERS = dict(zip(EMOTIONS, "ADFHSUN", strict=True))


class LiveTable:
    """A context manager that is shown every event, `whole` lectures or one participant's. `ask` tells how it stands."""

    def __init__(
        self, lecture: str, ask: Callable[[], Lecture], names: Names | None = None, whole: bool = True
    ) -> None:
        self._console = Console()
        colours = self._console.color_system is not None and not self._console.no_color
        self._picture = Picture(lecture, names, colours)
        self._whole = whole
        self._ask = ask
        self._asked = self._drawn = -STANDING_S
        # It draws when it is told to, from the thread that tells it of events.
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> "LiveTable":
        self._live.start()
        self.tick()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._look()
            self._draw()
        finally:
            self._live.stop()

    def show(self, event: Event) -> None:
        """Take an event into the picture; it is drawn when it is time to."""
        self._picture.add(event)
        # The class comes last of a frame: before, those who were not told of yet would look as if they were gone.
        if not (self._whole and isinstance(event, EmotionEvent)):
            self.tick()

    def tick(self) -> None:
        """Draw the picture anew, if the last one is old enough. To be called while nothing comes, too."""
        now = time.monotonic()
        if now - self._asked >= STANDING_S:
            self._asked = now
            self._look()
        if now - self._drawn >= REFRESH_S:
            self._drawn = now
            self._draw()

    def _look(self) -> None:
        with suppress(LectureUnknown):  # forgotten meanwhile: whoever follows it will say so
            self._picture.standing = self._ask()

    def _draw(self) -> None:
        self._live.update(self._picture.drawn(self._console.width, self._console.height), refresh=True)


class Picture:
    """All that is shown of a lecture. What it holds grows with the participants, not with the frames."""

    def __init__(self, lecture: str, names: Names | None = None, colours: bool = True) -> None:
        self.standing: Lecture | None = None
        self._colours = colours
        self._lecture = lecture
        self._names = names
        self._first = math.inf
        self._t = 0.0
        self._class: ClassEvent | None = None
        self._end: EndEvent | None = None
        self._people: dict[str, _Person] = {}

    def add(self, event: Event) -> None:
        """Take one more event into account."""
        if isinstance(event, EndEvent):
            self._end = event
            return
        self._first, self._t = min(self._first, event.t), max(self._t, event.t)
        if isinstance(event, ClassEvent):
            self._class = event
            return
        if self._names is not None:
            self._names.add(event)
        self._people.setdefault(event.participant, _Person(event)).add(event)

    def drawn(self, width: int, height: int) -> RenderableType:
        """The picture for a terminal of so many columns and rows."""
        rows = max(FEWEST_PEOPLE, height - OTHER_ROWS)
        lines = [self._headline(), *self._class_lines(width), Text(), *self._people_table(width, rows), Text()]
        return Group(*lines, self._legend(), *self._foot())

    def _headline(self) -> Text:
        return _line(Text.assemble((self._lecture, "bold"), f"  {clock(self._t)}  ", (self._status(), "italic")))

    def _status(self) -> str:
        if self._end is not None:
            return self._end.status
        if self.standing is not None and self.standing.abandoned:
            return "running, but nobody feeds it"
        return "running" if self._class is not None or self._people else "waiting for what comes"

    def _class_lines(self, width: int) -> list[Text]:
        event = self._class
        if event is None:
            return []
        affect = ""
        if event.valence is not None and event.arousal is not None:
            affect = f", valence {event.valence:+.2f}, arousal {event.arousal:+.2f}"
        faces = _line(Text(f"class  {event.faces} face{'' if event.faces == 1 else 's'} in view{affect}"))
        if event.scores is None:
            return [faces]
        strongest = sorted(event.scores.items(), key=lambda item: -item[1])
        shares = Text("     ")
        for emotion, share in strongest:
            said = Text("  ").append_text(self._swatch(emotion)).append(f"{emotion} {share:.0%}")
            if share < 0.05 or shares.cell_len + said.cell_len > width:
                break  # what is cut in half might be read as another number
            shares.append_text(said)
        return [faces, self._bar(event.scores, max(width - 7, FEWEST_BLOCKS)), _line(shares)]

    def _people_table(self, width: int, rows: int) -> list[RenderableType]:
        if not self._people:
            nobody = self._class is not None and self._class.faces > 0
            return [Text("nothing is published per person" if nobody else "nobody has been seen yet", "dim")]
        people = sorted(self._people.items(), key=lambda item: (*self._recency(item[1]), _natural(item[0])))
        shown = people if len(people) <= rows else people[: rows - 1]
        whos = [self._who(participant) for participant, _ in shown]
        longest = min(max(map(len, whos)), LONGEST_WHO)
        last = 0 if width < NARROW else len("away 0:00:00") + 2
        blocks = max(min(width - longest - len("# happiness 100%") - 4 - last, MOST_BLOCKS), FEWEST_BLOCKS)
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, max_width=LONGEST_WHO, overflow="ellipsis")
        for _ in range(3 if last else 2):
            table.add_column(no_wrap=True)
        for who, (_, person) in zip(whos, shown, strict=True):
            away = self._away(person)
            displayed = Text(f"{person.last.emotion} {_score(person.last):.0%}")
            displayed = Text("  ").append(displayed) if away else self._swatch(person.last.emotion).append(displayed)
            cells = [Text(who), self._history(person, blocks), displayed]
            table.add_row(*cells, *([Text(f"away {clock(away)}" if away else "", "dim")] if last else []))
        more = len(people) - len(shown)
        return [table, *([Text(f"and {more} more", "dim")] if more else [])]

    def _recency(self, person: "_Person") -> tuple[bool, float]:
        """Those in view first, so that their order stays; then who was seen last."""
        away = self._away(person)
        return away > 0, away

    def _away(self, person: "_Person") -> float:
        """Seconds for which somebody has not been in view."""
        away = self._t - person.last.t
        return away if away > AWAY_S else 0.0

    def _who(self, participant: str) -> str:
        name = self._names.of(participant) if self._names is not None else None
        return participant if name is None else f"{name} ({participant})"

    def _history(self, person: "_Person", blocks: int) -> Text:
        newest = int(self._t / BLOCK_S)
        parts = [self._part(person, block) for block in range(newest - blocks + 1, newest + 1)]
        history = Text(no_wrap=True)
        for (block, style), run in groupby(parts):  # few and long, for terminals that are far away
            history.append(block * len(list(run)), style)
        return history

    def _part(self, person: "_Person", block: int) -> tuple[str, str]:
        emotion, strength = person.displayed(block)
        if emotion is not None:
            return self._block(emotion, strength)
        return (NOT_SEEN, "dim") if block >= self._first / BLOCK_S else (" ", "")

    def _foot(self) -> Iterable[Text]:
        if self._end is not None:
            why = f" ({self._end.reason})" if self._end.reason else ""
            yield _line(Text(f"{self._end.status}{why}: {ledger_line(self._end.ledger)}"))
        elif self.standing is not None:
            yield _line(Text(ledger_line(self.standing.ledger)))

    def _bar(self, scores: Scores, width: int) -> Text:
        """The shares side by side, as long as they are."""
        bar = Text("       ", no_wrap=True)
        end, drawn = 0.0, 0
        for emotion in reversed(STACK):
            end += scores.get(emotion, 0.0)
            length = max(min(round(end * width), width) - drawn, 0)
            block, style = self._block(emotion)
            bar.append(block * length, style)
            drawn += length
        return bar

    def _legend(self) -> Text:
        legend = Text(no_wrap=True, overflow="ellipsis")
        for emotion in reversed(STACK):
            legend.append_text(self._swatch(emotion)).append(f"{emotion}  ")
        return legend

    def _swatch(self, emotion: str) -> Text:
        """A block before a word, since words in such colours could not be read on every terminal."""
        return Text.assemble(self._block(emotion), " ")

    def _block(self, emotion: str, strength: float = 1.0) -> tuple[str, str]:
        """The character and the style that stand for what is displayed so strongly."""
        if not self._colours:
            return LETTERS.get(emotion, "?"), ""
        return next(shade for least, shade in SHADES if strength >= least), COLOURS.get(emotion, "")


class _Person:
    """A participant's newest event, and the scores of the last MOST_BLOCKS blocks of time."""

    def __init__(self, event: EmotionEvent) -> None:
        self.last = event
        self._blocks: dict[int, tuple[int, Scores]] = {}

    def add(self, event: EmotionEvent) -> None:
        if event.frame >= self.last.frame:
            self.last = event
        block = int(event.t / BLOCK_S)
        count, sums = self._blocks.get(block, (0, {}))
        self._blocks[block] = count + 1, {each: sums.get(each, 0.0) + score for each, score in event.scores.items()}
        if len(self._blocks) > MOST_BLOCKS:
            del self._blocks[min(self._blocks)]

    def displayed(self, block: int) -> tuple[str | None, float]:
        """What was displayed most in a block of time, and its mean score."""
        if block not in self._blocks:
            return None, 0.0
        count, sums = self._blocks[block]
        emotion = max(sums, key=lambda each: sums[each])
        return emotion, sums[emotion] / count


def _line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _score(event: EmotionEvent) -> float:
    return event.scores.get(event.emotion, 0.0)


def _natural(participant: str) -> tuple[str, int]:
    """Sorts p9 before p10 and p100 after p99."""
    name = participant.rstrip("0123456789")
    return name, int(participant[len(name) :] or -1)
