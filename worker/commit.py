"""The ordered commit: the outcomes of chunks become events, each published exactly once and in order.

The worker that finishes a chunk tries to commit it. All that a lecture carries from chunk to chunk is one value in
Redis (`LectureKeys.state`), and the transaction watches it. If another worker changes it meanwhile, or `forget` deletes
it, the transaction fails without effect, and the commit starts again. So a forgotten lecture stays forgotten.
"""

from collections import Counter
from itertools import takewhile
from typing import cast

import redis
import structlog
from msgspec import structs
from redis.client import Pipeline

from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.lecture_hash import ledger_from_hashes
from worker.contract.limits import MAX_PARTICIPANTS
from worker.contract.messages import EndEvent, Ending, InFlight, Ledger, ParticipantSpan, decode, encode
from worker.contract.reasons import DAMAGED, OTHER_MODELS, PREFIXES, failed
from worker.contract.streams import ABANDONED, end_lecture, publish
from worker.folding.fold import Folded, LectureState, accounts_for, fold, usuals
from worker.metrics.counters import COMMIT_CONFLICTS, count_committed, timed
from worker.outcome import Outcome

log = structlog.get_logger()

# One transaction commits at most this many chunks. Otherwise many chunks behind a slow one would take much memory.
CHUNKS_AT_ONCE = 8

# A lecture with a larger share of damaged frames counts as failed.
MAX_DAMAGED_SHARE = 0.01


@timed("commit")
def commit(client: redis.Redis, lecture: str) -> None:
    """Commit every chunk whose turn has come. Does nothing if there is no such chunk or no such lecture."""
    more = True
    while more:
        try:
            more = _commit_some(client, LectureKeys(lecture))
        except redis.WatchError:  # another worker was faster, or the connection was lost: read the state again
            COMMIT_CONFLICTS.inc()


def end_abandoned(client: redis.Redis, lecture: str) -> bool:
    """End a lecture as stopped if no producer feeds it and all its fed chunks are committed. Returns whether it did.

    Nothing happens if the producer comes back, or the lecture is forgotten, at the same moment.
    """
    keys = LectureKeys(lecture)
    with client.pipeline() as pipe:
        pipe.watch(keys.info, keys.state, keys.in_flight, keys.feeder)
        info, stored = _hash(pipe, keys.info), cast(bytes | None, pipe.get(keys.state))
        if info.get(b"status") != b"running" or stored is None or pipe.exists(keys.in_flight, keys.feeder):
            return False
        state = decode(stored, LectureState)
        ledger, now = ledger_from_hashes(info, {}), _now(pipe)
        pipe.multi()
        _end(pipe, keys, Ending("stopped", ABANDONED), state, ledger, now)
        try:
            pipe.execute()
        except redis.WatchError:
            return False
    remove_from_running(client, lecture)
    return True


def has_outcome(client: redis.Redis, keys: LectureKeys, number: int) -> bool:
    """Whether a chunk's outcome is stored. A key of another type is a stranger's and does not count."""
    return bool(client.type(keys.outcome(number)) == b"string")


def remove_from_running(client: redis.Redis, lecture: str) -> None:
    """Remove a lecture from the set of running ones, if it has ended or is gone."""
    keys = LectureKeys(lecture)

    def if_ended(pipe: Pipeline) -> None:
        running = pipe.hget(keys.info, "status") == b"running"
        pipe.multi()
        if not running:
            pipe.srem(RUNNING, lecture)

    client.transaction(if_ended, keys.info)  # under WATCH: it may be resumed at this moment


def _commit_some(client: redis.Redis, keys: LectureKeys) -> bool:
    """Run one transaction. Returns whether there may be more to commit."""
    with client.pipeline() as pipe:
        pipe.watch(keys.state)
        stored = pipe.get(keys.state)
        if stored is None:
            return False
        state = decode(stored, LectureState)
        numbers = range(state.next_chunk, state.next_chunk + CHUNKS_AT_ONCE)
        in_flight = _hash(pipe, keys.in_flight)
        fed = list(takewhile(lambda n: str(n).encode() in in_flight, numbers))
        frames = [decode(in_flight[str(n).encode()], InFlight).frames for n in fed]
        stored_outcomes = cast(list[bytes | None], pipe.mget([keys.outcome(n) for n in fed])) if fed else []
        outcomes = _consecutive(stored_outcomes, frames)
        if not outcomes:
            return False
        chunks, frames = numbers[: len(outcomes)], frames[: len(outcomes)]
        folded = fold(keys.lecture, state, outcomes, frames)
        first, noted = _first_models(pipe, keys, outcomes)
        others = _read_by_other_models(outcomes, first)
        counts = _counted(folded, others.total())
        if folded.ending is not None:  # it was the last chunk: feeding is over, so nothing else changes the ledger
            ledger = _added(ledger_from_hashes(_hash(pipe, keys.info), {}), counts)
            now = _now(pipe)

        pipe.multi()
        _publish_all(pipe, keys, folded, known=state.spans)
        for field, more in counts.items():
            pipe.hincrby(keys.info, field, more)
        if first:
            pipe.hset(keys.info, "models", first)
        pipe.delete(*(key for n in chunks for key in (keys.chunk(n), keys.outcome(n))))
        pipe.hdel(keys.in_flight, *map(str, chunks))
        pipe.set(keys.state, encode(folded.state), ex=folded.state.retention)
        if folded.ending is not None:
            _end(pipe, keys, folded.ending, folded.state, ledger, now)
        pipe.execute()
    if others and not noted:
        log.warning("frames read by other models than the lecture's first", models=sorted(others), first=first)
    count_committed(folded.published, folded.damaged, folded.failed, [outcome.taken for outcome in outcomes])
    if folded.ending is not None:
        remove_from_running(client, keys.lecture)
    return folded.ending is None


def _now(pipe: Pipeline) -> float:
    """Seconds since 1970 by Redis' clock."""
    seconds, microseconds = pipe.time()
    return float(seconds + microseconds / 1e6)


def _hash(pipe: Pipeline, key: str) -> dict[bytes, bytes]:
    return cast(dict[bytes, bytes], pipe.hgetall(key))


def _consecutive(stored: list[bytes | None], frames: list[int]) -> list[Outcome]:
    """The outcomes up to the first missing one or the lecture's end."""
    outcomes = []
    for value, count in zip(stored, frames, strict=True):
        if value is None:
            break
        outcomes.append(_outcome(value, count))
        if outcomes[-1].ending is not None:
            break
    return outcomes


def _outcome(stored: bytes, frames: int) -> Outcome:
    """The stored outcome of a chunk of `frames` frames; a failure if no worker of ours can have written it."""
    try:
        outcome = decode(stored, Outcome)
    except ValueError:
        return Outcome(failure="foreign")
    return outcome if accounts_for(outcome, frames) else Outcome(failure="foreign")


def _publish_all(pipe: Pipeline, keys: LectureKeys, folded: Folded, known: dict[str, ParticipantSpan]) -> None:
    for emotion in folded.emotions:
        publish(pipe, keys.participant(emotion.participant), emotion)
    for event in folded.class_channel:
        publish(pipe, keys.class_, event)
    changed = {p: span for p, span in folded.state.spans.items() if known.get(p) != span}
    if changed:
        pipe.hset(keys.participants, mapping={p: encode(span) for p, span in changed.items()})
    for key in [keys.info, keys.participants, keys.class_, *map(keys.participant, changed)]:
        pipe.expire(key, folded.state.retention)


def _first_models(pipe: Pipeline, keys: LectureKeys, outcomes: list[Outcome]) -> tuple[str, bool]:
    """The version of the models that read the lecture's first frame, and whether others were noted before.

    The version is empty if no frame was read yet.
    """
    stored, others = cast(list[bytes | None], pipe.hmget(keys.info, "models", OTHER_MODELS))
    if stored is not None:
        return stored.decode(errors="replace"), others is not None
    return next((outcome.model_version for outcome in outcomes if outcome.model_version), ""), False


def _read_by_other_models(outcomes: list[Outcome], first: str) -> Counter[str]:
    """The numbers of published frames by version, of the versions that are not `first`."""
    others: Counter[str] = Counter()
    for outcome in outcomes:
        frames = {observed.stamp.frame for observed in outcome.frames} - set(outcome.failed)
        if frames and outcome.model_version != first:
            others[outcome.model_version] += len(frames)
    return others


def _counted(folded: Folded, others: int) -> Counter[str]:
    """How many frames this transaction adds to each field of the ledger, without fields that stay the same."""
    counts = Counter(published=folded.published, failed=folded.failed.total())
    counts.update({failed(reason): frames for reason, frames in folded.failed.items()})
    counts.update({DAMAGED: folded.damaged, OTHER_MODELS: others})
    return +counts


def _added(ledger: Ledger, counts: Counter[str]) -> Ledger:
    reasons = {field: frames for field, frames in counts.items() if field.startswith(PREFIXES)}
    return structs.replace(
        ledger,
        published=ledger.published + counts["published"],
        failed=ledger.failed + counts["failed"],
        reasons=dict(Counter(ledger.reasons) + Counter(reasons)),
    )


def _end(pipe: Pipeline, keys: LectureKeys, ending: Ending, state: LectureState, ledger: Ledger, now: float) -> None:
    status, reason = ending.status, ending.reason
    if status == "done" and ledger.failed:
        status, reason = "failed", f"{ledger.failed} of {ledger.sampled} frames failed"
    damaged = ledger.reasons.get(DAMAGED, 0)
    if status == "done" and damaged > MAX_DAMAGED_SHARE * ledger.sampled:
        status, reason = "failed", f"the pictures of {damaged} of {ledger.sampled} frames are damaged"
    mixed = ledger.reasons.get(OTHER_MODELS, 0)
    if reason is None and mixed:
        reason = f"{mixed} of {ledger.sampled} frames were read by other models than the first ones"
    if reason is None and sum(tracker.ids for tracker in state.trackers.values()) >= MAX_PARTICIPANTS:
        reason = f"the limit of {MAX_PARTICIPANTS} participants was reached; further people do not count"
    end = EndEvent(keys.lecture, status, reason, ledger)
    resumable = ending.status != "done"
    end_lecture(pipe, keys, end, state.spans, now, state.retention, resumable, usuals(state))
