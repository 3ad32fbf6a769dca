"""Everything that reads what lies in Redis, by what it takes."""

from collections.abc import Callable
from typing import Any

import msgspec

from worker.admission import Refused, check_call
from worker.commit import LectureState
from worker.contract.keys import LectureKeys, checked_id, lecture_of_info_key
from worker.contract.messages import (
    Chunk,
    ChunkHead,
    InFlight,
    LectureChoices,
    LectureInfo,
    ParticipantSpan,
    decode_event,
    ledger_from_hashes,
)
from worker.contract.server import chunk_of_job_id, without_credentials
from worker.observations import Outcome

JSON_TYPES = (ChunkHead, InFlight, LectureChoices, LectureState, ParticipantSpan, Outcome)

DECODERS: dict[str, list[Callable[[Any], object]]] = {
    "bytes": [
        decode_event,
        check_call,
        chunk_of_job_id,
        *(lambda data, kind=kind: msgspec.json.decode(data, type=kind) for kind in JSON_TYPES),
    ],
    "text": [
        lambda text: checked_id(text, "id"),
        lambda text: LectureKeys(text).participant(text),
        lecture_of_info_key,
        without_credentials,
    ],
    "hash": [Chunk.from_hash, LectureInfo.from_hash, lambda fields: ledger_from_hashes(fields, fields)],
}


def decode_all(data: bytes) -> None:
    """Read `data` as everything that it could be taken for. Raises what is no refusal."""
    fields = {b"head": data, b"0": data, b"source": data, b"sampled": data, b"failed:x": data}
    for given, decoders in ((data, "bytes"), (data.decode(errors="replace"), "text"), (fields, "hash")):
        for decode in DECODERS[decoders]:
            try:
                decode(given)
            except (ValueError, Refused):
                continue
