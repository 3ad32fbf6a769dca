"""The table of an archived lecture: a row for each event, and what the schema's metadata says of the lecture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
from msgspec import Struct

from worker.contract.messages import EMOTIONS, Id, ParticipantSpan

if TYPE_CHECKING:
    import pyarrow

HEAD = b"lecturepulse"
"""The key of the head in the metadata of the schema."""

# Rows of a row group. One with long events has about 6 MB in memory.
GROUP_ROWS = 10_000

_BOX = ("x", "y", "width", "height")
_POSE = ("yaw", "pitch", "roll")


class Head(Struct, frozen=True):
    """What is known of an archived lecture: the fields of its hash, its participants, and when it is to be erased.

    `expires` is in seconds since 1970.
    """

    lecture: Id
    hash: dict[str, str]
    participants: dict[Id, ParticipantSpan]
    expires: float
    v: Literal[1] = 1


class Row(NamedTuple):
    """An event as it was published: its channel (None: the class), its position in the stream, and its JSON."""

    participant: str | None
    position: str
    event: bytes


def schema(head: Head) -> pyarrow.Schema:
    """The columns, with the head. Those without a value in an event of a row's type are null.

    `event` is the event as it was published. The others are made of it, for queries.
    """
    import pyarrow as pa

    f64 = pa.float64()
    fields = [("type", pa.string()), ("participant", pa.string()), ("frame", pa.int64()), ("t", f64)]
    fields += [*((name, pa.int64()) for name in _BOX), ("detection", f64), ("emotion", pa.string())]
    fields += [*((name, f64) for name in EMOTIONS), *((f"smoothed_{name}", f64) for name in EMOTIONS)]
    fields += [("valence", f64), ("arousal", f64), ("model_version", pa.string())]
    fields += [("readable", pa.bool_()), ("reason", pa.string()), *((name, pa.int64()) for name in _POSE)]
    fields += [*((name, pa.int64()) for name in ("faces", "unreadable", "turned_away", "slide"))]
    fields += [("damaged", pa.bool_()), ("hidden", pa.bool_()), ("status", pa.string())]
    fields += [("position", pa.string()), ("event", pa.string())]
    return pa.schema(fields, metadata={HEAD: msgspec.json.encode(head)})


def table(rows: Sequence[Row], made: pyarrow.Schema) -> pyarrow.Table:
    """The rows with the columns of the schema `made`."""
    import pyarrow as pa
    from pyarrow import compute, json

    lines = b"\n".join(row.event for row in rows)
    read = json.read_json(
        BytesIO(lines),
        json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        json.ParseOptions(explicit_schema=_json_schema(), unexpected_field_behavior="ignore"),
    ).combine_chunks()
    columns = {name: read[name] for name in read.column_names}
    scores, smoothed, box, pose = (columns.pop(name) for name in ("scores", "smoothed", "box", "pose"))
    columns |= {name: compute.struct_field(scores, name) for name in EMOTIONS}
    columns |= {f"smoothed_{name}": compute.struct_field(smoothed, name) for name in EMOTIONS}
    columns |= {name: compute.list_element(box, n) for n, name in enumerate(_BOX)}
    columns |= {name: compute.struct_field(pose, name) for name in _POSE}
    columns["participant"] = pa.array([row.participant for row in rows], pa.string())
    columns["position"] = pa.array([row.position for row in rows], pa.string())
    columns["event"] = pa.array([row.event for row in rows], pa.binary()).cast(pa.string())
    return pa.table({name: columns[name] for name in made.names}, schema=made)


@cache
def _json_schema() -> pyarrow.Schema:
    """The columns that are read from the JSON of events. Further fields of events are in their JSON only."""
    import pyarrow as pa

    scores = pa.struct([(name, pa.float64()) for name in EMOTIONS])
    pose = pa.struct([(name, pa.int64()) for name in _POSE])
    nested = {"scores": scores, "smoothed": scores, "box": pa.list_(pa.int64()), "pose": pose}
    flat = schema(Head("_", {}, {}, 0.0)).remove_metadata()
    made = {*EMOTIONS, *(f"smoothed_{name}" for name in EMOTIONS), *_BOX, *_POSE, "participant", "position", "event"}
    return pa.schema([*(field for field in flat if field.name not in made), *nested.items()])
