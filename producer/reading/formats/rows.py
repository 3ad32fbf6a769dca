"""The rows of a table: one for each sighting of a participant, or one for each frame of the class."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from producer.reading.analysis.losses import Loss
from producer.reading.analysis.names import Names
from producer.reading.analysis.own_usual import OwnUsual
from producer.reading.formats.choice import Kind
from worker.contract.chapters import Chapter
from worker.contract.messages import EMOTIONS, ClassEvent, EmotionEvent, Event

_SCORES = dict.fromkeys(EMOTIONS, "float64")
_AFFECT = {"valence": "float64", "arousal": "float64", "model_version": "string"}
_CHANGES = {emotion: f"{emotion}_minus_own_usual" for emotion in EMOTIONS}

_POSE = ("yaw", "pitch", "roll")

_KIND_OF: dict[type[EmotionEvent | ClassEvent], Kind] = {EmotionEvent: "people", ClassEvent: "class"}

COLUMNS: dict[Kind, dict[str, str]] = {
    "people": {
        **{"lecture": "string", "participant": "string", "frame": "int64", "t": "float64"},
        **dict.fromkeys(("x", "y", "width", "height"), "int64"),
        **{"detection": "float64", "emotion": "string"},
        **_SCORES,
        **{f"smoothed_{emotion}": "float64" for emotion in EMOTIONS},
        **_AFFECT,
        **{"readable": "bool_", "reason": "string"},
        **dict.fromkeys(_POSE, "int64"),
        **dict.fromkeys(_CHANGES.values(), "float64"),
    },
    "class": {
        **{"lecture": "string", "frame": "int64", "t": "float64", "faces": "int64", "unreadable": "int64"},
        **_SCORES,
        **_AFFECT,
        **{"damaged": "bool_", "hidden": "bool_"},
        **dict.fromkeys(_CHANGES.values(), "float64"),
    },
}
"""Columns of each kind of row -> their types in Parquet.

Valence and arousal are a fixed linear map of the scores. `EMOTION_minus_own_usual` is the score minus the person's
own usual, and for the class the mean of these changes over the faces that could be read.
"""

_FIELDS = {
    struct: [name for name in COLUMNS[kind] if name in struct.__struct_fields__] for struct, kind in _KIND_OF.items()
}
"""Event -> the columns that hold its field of the same name."""

CHAPTER = "chapter"
"""One more column, if the lecture has chapters: the title of the chapter."""

NAME = "name"
"""The last column of people's rows, if there is a roster."""

Row = dict[str, Any]


class Rows:
    """Makes rows of the wanted `kinds` from events. `own` has all events of the lecture."""

    def __init__(
        self, kinds: tuple[Kind, ...], names: Names | None, own: OwnUsual, chapters: Sequence[Chapter] = ()
    ) -> None:
        self.kinds = kinds
        self._names = names
        self._own = own
        self._titles = [None, *(each.title for each in chapters)]
        self._begins = [each.t for each in chapters]

    def columns(self, kind: Kind) -> dict[str, str]:
        """Column -> its type in Parquet."""
        more = [CHAPTER] if self._begins else []
        more += [NAME] if kind == "people" and self._names is not None else []
        return {**COLUMNS[kind], **dict.fromkeys(more, "string")}

    def of(self, events: Iterable[Event | Loss]) -> Iterator[tuple[Kind, Row]]:
        """The rows, in the order of the events. A participant with missing events has a row that says so."""
        for event in events:
            kind: Kind = "class" if isinstance(event, ClassEvent) else "people"
            row = self._row(event)
            if row is not None and kind in self.kinds:
                yield kind, row

    def _row(self, event: Event | Loss) -> Row | None:
        """Column -> value. What is missing is absent or None."""
        if isinstance(event, EmotionEvent):
            row = self._observed(event)
            row |= zip(("x", "y", "width", "height"), event.box, strict=True)
            row |= {f"smoothed_{emotion}": (event.smoothed or {}).get(emotion) for emotion in EMOTIONS}
            row["reason"] = event.reason or None
            row |= {name: getattr(event.pose, name, None) for name in _POSE}
        elif isinstance(event, ClassEvent):
            marks = {"damaged": event.damaged is True, "hidden": event.hidden is True}
            return {**self._observed(event), **marks}
        elif isinstance(event, Loss) and event.participant is not None:
            row = {"lecture": event.lecture, "participant": event.participant, "emotion": event.word}
        else:
            return None
        return row if self._names is None else {**row, NAME: self._names.of(row["participant"])}

    def _observed(self, event: EmotionEvent | ClassEvent) -> Row:
        """The columns that both kinds have, and those that hold the field of the same name."""
        scores, changes = event.scores or {}, self._own.change(event) or {}
        return {
            **{name: getattr(event, name) for name in _FIELDS[type(event)]},
            **{emotion: scores.get(emotion) for emotion in EMOTIONS},
            **{name: changes.get(emotion) for emotion, name in _CHANGES.items()},
            **({CHAPTER: self._titles[bisect_right(self._begins, event.t)]} if self._begins else {}),
        }
