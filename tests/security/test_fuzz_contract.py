"""Reading any value from Redis gives a message or a ValueError."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.security.decoders import DECODERS, decode_all
from worker.contract.lecture_hash import LectureInfo
from worker.contract.messages import (
    ChunkHead,
    ClassEvent,
    EmotionEvent,
    EndEvent,
    Ending,
    FrameStamp,
    InFlight,
    LectureChoices,
    Ledger,
    ParticipantSpan,
    encode,
)
from worker.outcome import DESCRIPTOR_BYTES, FaceObservation, FrameObservation, Outcome

SCORES = dict.fromkeys(("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"), 1 / 7)
FACE = FaceObservation((1.0, 2.0, 3.0, 4.0), 0.5, (1 / 7,) * 7, {"mobilenetv2": "neutral"}, bytes(DESCRIPTOR_BYTES))
STAMP = FrameStamp(3, 1.5, "alice", (640, 360))
MESSAGES = [
    EmotionEvent("l", "p01", 3, 1.5, (1, 2, 3, 4), 0.5, "neutral", SCORES, SCORES, 0.1, 0.2, {"m": "neutral"}, "v"),
    ClassEvent("l", 3, 1.5, 0, None, None, None, "v"),
    EndEvent("l", "failed", "why", Ledger(3, 1, 1, 1, 0, {"failed:error": 1})),
    ChunkHead([STAMP], 640, 360, Ending("stopped", "why"), 1.0),
    Outcome([FrameObservation(STAMP, [FACE])], model_version="v"),
    InFlight(3, 1000),
    ParticipantSpan(0.0, 1.5, 3),
    LectureChoices("alice", True, 86400),
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.binary(max_size=200) | JSON.map(msgspec.json.encode) | st.sampled_from(MESSAGES).map(encode))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    decode_all(data)


@given(st.sampled_from(MESSAGES), st.data())
def test_a_message_with_a_replaced_field_is_a_message_or_refused(message: msgspec.Struct, data: st.DataObject) -> None:
    built = msgspec.to_builtins(message, str_keys=True)
    name = data.draw(st.sampled_from(sorted(built)))
    built[name] = data.draw(JSON)
    decode_all(msgspec.json.encode(built))


def test_a_value_that_is_nested_deeply_is_refused() -> None:
    deep = b"[" * 100_000
    for data in (deep, *(encode(message)[:-1] + b',"unknown":' + deep for message in MESSAGES)):
        decode_all(data)
    with pytest.raises(ValueError, match="recursion"):
        LectureInfo.from_hash({b"chapters": deep})


@given(st.sampled_from(MESSAGES), st.integers(0, 400), st.integers(0, 255))
def test_a_message_with_a_changed_byte_is_a_message_or_refused(message: msgspec.Struct, at: int, byte: int) -> None:
    damaged = bytearray(encode(message))
    damaged[at % len(damaged)] = byte
    decode_all(bytes(damaged))


@given(st.dictionaries(st.binary(max_size=20), st.binary(max_size=80), max_size=6))
def test_any_hash_is_a_chunk_a_lecture_a_ledger_or_refused(fields: dict[bytes, bytes]) -> None:
    for decode in DECODERS["hash"]:
        _refused_at_most(decode, fields)
        _refused_at_most(decode, {**fields, b"head": b'{"frames":[],"width":1,"height":1}', b"source": b"x"})


def _refused_at_most(decode: Callable[[dict[bytes, bytes]], object], fields: dict[bytes, bytes]) -> None:
    try:
        decode(fields)
    except ValueError:
        return
