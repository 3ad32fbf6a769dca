"""All functions that read values from Redis, by the type of value."""

from collections.abc import Callable
from typing import Any

from worker.contract.credentials import without_credentials
from worker.contract.jobs import chunk_of_job_id
from worker.contract.keys import LectureKeys, checked_id, lecture_of_info_key
from worker.contract.lecture_hash import LectureInfo, ledger_from_hashes
from worker.contract.messages import Chunk, ChunkHead, InFlight, LectureChoices, ParticipantSpan, decode, decode_event
from worker.folding.fold import LectureState
from worker.outcome import Outcome
from worker.running.admission import JobRefused, check_call

JSON_TYPES = (ChunkHead, InFlight, LectureChoices, LectureState, ParticipantSpan, Outcome)

DECODERS: dict[str, list[Callable[[Any], object]]] = {
    "bytes": [
        decode_event,
        check_call,
        chunk_of_job_id,
        *(lambda data, kind=kind: decode(data, kind) for kind in JSON_TYPES),
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
    """Read `data` with all decoders. Raises any exception that is not a refusal."""
    fields = {b"head": data, b"0": data, b"source": data, b"sampled": data, b"failed:x": data}
    for given, decoders in ((data, "bytes"), (data.decode(errors="replace"), "text"), (fields, "hash")):
        for read in DECODERS[decoders]:
            try:
                read(given)
            except (ValueError, JobRefused):
                continue
