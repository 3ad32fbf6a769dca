"""The ordered commit: what workers saw, folded in chunk by chunk, told once and in order.

Whoever has finished a chunk tries to commit. All that the lecture carries from chunk to chunk is one value in Redis,
under WATCH: if somebody else moved the lecture on meanwhile, the transaction fails, nothing happened, and it is tried
again. If the lecture was forgotten meanwhile, the same check leaves it forgotten.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby, takewhile
from typing import cast

import msgspec
import numpy as np
import redis
from msgspec import structs
from redis.client import Pipeline

from worker.affect import valence_and_arousal
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.limits import PARTICIPANTS
from worker.contract.messages import (
    EMOTIONS,
    EVENT_FIELD,
    ClassEvent,
    EmotionEvent,
    EndEvent,
    Ending,
    Event,
    FrameStamp,
    InFlight,
    LectureProgress,
    Ledger,
    ParticipantSpan,
    Scores,
    encode,
    ledger_from_hashes,
)
from worker.contract.server import RESUME_S, STREAM_LENGTH
from worker.metrics import COMMIT_CONFLICTS, count_committed, timed
from worker.observations import Outcome, Reading
from worker.participants import Roster, Told, advance

# Chunks folded in by one transaction: bounds what is held in memory when many piled up behind a slow one.
CHUNKS_AT_ONCE = 8

SCORE_DIGITS = 4

ABANDONED = "its producer is gone"


class LectureState(LectureProgress, frozen=True):
    """What a lecture carries from chunk to chunk. The producer writes the first one: the choices, and nothing yet.

    `rosters` has one for every recording that shows one named person, and one under "" for galleries.
    """

    rosters: dict[str, Roster] = msgspec.field(default_factory=dict)
    spans: dict[str, ParticipantSpan] = msgspec.field(default_factory=dict)


@dataclass
class Folded:
    """What a few chunks come to: the new state, and everything to be told."""

    state: LectureState
    emotions: list[EmotionEvent] = field(default_factory=list)
    class_: list[ClassEvent] = field(default_factory=list)
    published: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    ending: Ending | None = None


@timed("commit")
def commit(client: redis.Redis, lecture: str) -> None:
    """Fold in every chunk whose turn has come. Does nothing where there is none, or no such lecture."""
    more = True
    while more:
        try:
            more = _commit_some(client, LectureKeys(lecture))
        except redis.WatchError:  # somebody else was faster, or the connection was lost: look again at what is left
            COMMIT_CONFLICTS.inc()


def fold(lecture: str, state: LectureState, outcomes: list[Outcome], frames: list[int]) -> Folded:
    """Fold the outcomes of consecutive chunks into a lecture. `frames` tells how many frames each chunk has.

    Every frame is published or failed. One of which a picture could not be looked at failed and has no class event, as
    the class was not seen whole; the other recordings' participants in it are told all the same.
    """
    folded = Folded(state)
    rosters, spans = dict(state.rosters), dict(state.spans)
    for outcome, count in zip(outcomes, frames, strict=True):
        if outcome.failure is not None:
            folded.failed[outcome.failure] += count
        folded.failed.update(outcome.failed.values())
        for frame, pictures in groupby(outcome.frames, key=lambda seen: seen.stamp.frame):
            told: list[Told] = []
            for seen in pictures:
                only = seen.stamp.participant or state.participant
                roster, more = advance(rosters.get(only or "", Roster(only=only)), seen)
                rosters[only or ""] = roster
                told += more
            if frame not in outcome.failed:
                folded.class_.append(_class_event(lecture, seen.stamp, told, outcome.model_version))
                folded.published += 1
            if not state.class_only:
                folded.emotions += [_emotion_event(lecture, one, outcome.model_version) for one in told]
                for one in told:
                    spans[one.participant] = _stretched(spans.get(one.participant), one.sighting.t)
        folded.ending = outcome.ending or folded.ending
    next_chunk = state.next_chunk + len(outcomes)
    folded.state = structs.replace(state, next_chunk=next_chunk, rosters=rosters, spans=spans)
    return folded


def end_abandoned(client: redis.Redis, lecture: str) -> bool:
    """End a lecture as stopped, where nobody feeds it any more and all that was fed is committed; whether that was so.

    Its producer may be back, or somebody may forget it, at any moment: then nothing happens.
    """
    keys = LectureKeys(lecture)
    with client.pipeline() as pipe:
        pipe.watch(keys.info, keys.state, keys.in_flight, keys.feeder)
        info, state = _hash(pipe, keys.info), cast(bytes | None, pipe.get(keys.state))
        if info.get(b"status") != b"running" or state is None or pipe.exists(keys.in_flight, keys.feeder):
            return False
        reached = msgspec.json.decode(state, type=LectureState)
        ledger, now = ledger_from_hashes(info, {}), _now(pipe)
        pipe.multi()
        _end(pipe, keys, Ending("stopped", ABANDONED), reached, ledger, now)
        try:
            pipe.execute()
        except redis.WatchError:
            return False
    strike_off(client, lecture)
    return True


def has_outcome(client: redis.Redis, keys: LectureKeys, number: int) -> bool:
    """Whether it is written down what a worker made of a chunk. What is no string is a stranger's, and counts as none,
    as for the commit."""
    return bool(client.type(keys.outcome(number)) == b"string")


def strike_off(client: redis.Redis, lecture: str) -> None:
    """Take a lecture that is over, or gone, off the list of those that run."""
    keys = LectureKeys(lecture)

    def if_over(pipe: Pipeline) -> None:
        running = pipe.hget(keys.info, "status") == b"running"
        pipe.multi()
        if not running:
            pipe.srem(RUNNING, lecture)

    client.transaction(if_over, keys.info)  # it may be gone on with this moment


def _commit_some(client: redis.Redis, keys: LectureKeys) -> bool:
    """One transaction; whether there may be more to commit."""
    with client.pipeline() as pipe:
        pipe.watch(keys.state)
        stored = pipe.get(keys.state)
        if stored is None:
            return False
        state = msgspec.json.decode(stored, type=LectureState)
        numbers = range(state.next_chunk, state.next_chunk + CHUNKS_AT_ONCE)
        in_flight = _hash(pipe, keys.in_flight)
        fed = list(takewhile(lambda n: str(n).encode() in in_flight, numbers))
        frames = [_frames(in_flight[str(n).encode()]) for n in fed]
        stored_outcomes = cast(list[bytes | None], pipe.mget([keys.outcome(n) for n in fed])) if fed else []
        outcomes = _consecutive(stored_outcomes, frames)
        if not outcomes:
            return False
        chunks, frames = numbers[: len(outcomes)], frames[: len(outcomes)]
        folded = fold(keys.lecture, state, outcomes, frames)
        if folded.ending is not None:
            ledger = _final_ledger(ledger_from_hashes(_hash(pipe, keys.info), {}), folded)  # it was the last chunk
            now = _now(pipe)

        pipe.multi()
        _tell(pipe, keys, folded, known=state.spans)
        _count(pipe, keys, folded)
        pipe.delete(*(key for n in chunks for key in (keys.chunk(n), keys.outcome(n))))
        pipe.hdel(keys.in_flight, *map(str, chunks))
        pipe.set(keys.state, encode(folded.state), ex=folded.state.retention)
        if folded.ending is not None:
            _end(pipe, keys, folded.ending, folded.state, ledger, now)
        pipe.execute()
    count_committed(folded.published, folded.failed, [outcome.taken for outcome in outcomes])
    if folded.ending is not None:
        strike_off(client, keys.lecture)
    return folded.ending is None


def _now(pipe: Pipeline) -> float:
    """Seconds since 1970 by Redis' clock."""
    seconds, microseconds = pipe.time()
    return float(seconds + microseconds / 1e6)


def _hash(pipe: Pipeline, key: str) -> dict[bytes, bytes]:
    return cast(dict[bytes, bytes], pipe.hgetall(key))


def _frames(in_flight: bytes) -> int:
    return msgspec.json.decode(in_flight, type=InFlight).frames


def _consecutive(stored: list[bytes | None], frames: list[int]) -> list[Outcome]:
    outcomes = []
    for value, count in zip(stored, frames, strict=True):
        if value is None:
            break
        outcomes.append(_outcome(value, count))
        if outcomes[-1].ending is not None:
            break
    return outcomes


def _outcome(stored: bytes, frames: int) -> Outcome:
    """What was written down for a chunk of so many frames. If no worker of ours can have written it, the chunk failed
    and the lecture goes on."""
    try:
        outcome = msgspec.json.decode(stored, type=Outcome)
    except ValueError:
        return Outcome(failure="foreign")
    return outcome if _accounts_for(outcome, frames) else Outcome(failure="foreign")


def _accounts_for(outcome: Outcome, frames: int) -> bool:
    """Whether it tells of each of so many frames what became of it, once: or the ledger would not balance."""
    seen = [frame for frame, _ in groupby(outcome.frames, key=lambda picture: picture.stamp.frame)]
    told = {*seen, *outcome.failed}
    if outcome.failure is not None:
        return not told and outcome.ending is None
    return len(seen) == len(set(seen)) and len(told) == frames and (outcome.ending is None or frames == 0)


def _tell(pipe: Pipeline, keys: LectureKeys, folded: Folded, known: dict[str, ParticipantSpan]) -> None:
    for emotion in folded.emotions:
        _publish(pipe, keys.participant(emotion.participant), emotion)
    for event in folded.class_:
        _publish(pipe, keys.class_, event)
    changed = {p: span for p, span in folded.state.spans.items() if known.get(p) != span}
    if changed:
        pipe.hset(keys.participants, mapping={p: encode(span) for p, span in changed.items()})
    for key in [keys.info, keys.participants, keys.class_, *map(keys.participant, changed)]:
        pipe.expire(key, folded.state.retention)


def _publish(pipe: Pipeline, channel: str, event: Event) -> None:
    """To the stream, for replay, and to the channel of the same name, for those who listen now."""
    body = encode(event)
    pipe.xadd(channel, {EVENT_FIELD: body}, maxlen=STREAM_LENGTH)
    pipe.publish(channel, body)


def _count(pipe: Pipeline, keys: LectureKeys, folded: Folded) -> None:
    if folded.published:
        pipe.hincrby(keys.info, "published", folded.published)
    for reason, frames in folded.failed.items():
        pipe.hincrby(keys.info, "failed", frames)
        pipe.hincrby(keys.info, f"failed:{reason}", frames)


def _final_ledger(before: Ledger, folded: Folded) -> Ledger:
    """The ledger as it will stand after this transaction. The lecture is fed, so nobody else changes it."""
    reasons = Counter(before.reasons)
    reasons.update({f"failed:{reason}": frames for reason, frames in folded.failed.items()})
    return structs.replace(
        before,
        published=before.published + folded.published,
        failed=before.failed + folded.failed.total(),
        reasons=dict(reasons),
    )


def _end(pipe: Pipeline, keys: LectureKeys, ending: Ending, state: LectureState, ledger: Ledger, now: float) -> None:
    status, reason = ending.status, ending.reason
    if status == "done" and ledger.failed:
        status, reason = "failed", f"{ledger.failed} of {ledger.sampled} frames failed"
    if reason is None and len(state.spans) >= PARTICIPANTS:
        reason = f"there were {PARTICIPANTS} participants, the most there may be; nobody beyond was told"
    event = EndEvent(keys.lecture, status, reason, ledger)
    for channel in [keys.class_, *map(keys.participant, state.spans)]:
        _publish(pipe, channel, event)
        pipe.expire(channel, state.retention)
    pipe.hset(keys.info, mapping={"status": status, "ended": now, **({"reason": reason} if reason else {})})
    pipe.expire(keys.info, state.retention)
    pipe.expire(keys.participants, state.retention)
    pipe.delete(keys.in_flight)
    # What was stopped may be gone on with for a while; 0 deletes at once.
    pipe.expire(keys.state, min(RESUME_S, state.retention) if status == "stopped" else 0)


def _emotion_event(lecture: str, told: Told, model_version: str) -> EmotionEvent:
    sighting = told.sighting
    face = sighting.face
    x, y, w, h = map(round, face.box)
    valence, arousal = valence_and_arousal(face.scores)
    return EmotionEvent(
        lecture=lecture,
        participant=told.participant,
        frame=sighting.frame,
        t=sighting.t,
        box=(x, y, w, h),
        detection=round(face.detection, SCORE_DIGITS),
        emotion=EMOTIONS[int(np.argmax(face.scores))],
        scores=_scores(face.scores),
        smoothed=_scores(sighting.smoothed),
        valence=round(valence, SCORE_DIGITS),
        arousal=round(arousal, SCORE_DIGITS),
        models=face.models,
        model_version=model_version,
    )


def _class_event(lecture: str, stamp: FrameStamp, told: list[Told], model_version: str) -> ClassEvent:
    """The mean over those who were told for this very frame: late sightings belong to frames that are gone."""
    present = [one.sighting.face.scores for one in told if one.sighting.frame == stamp.frame]
    mean: Reading | None = tuple(np.mean(present, axis=0).tolist()) if present else None
    valence, arousal = valence_and_arousal(mean) if mean else (None, None)
    return ClassEvent(
        lecture=lecture,
        frame=stamp.frame,
        t=stamp.t,
        faces=len(present),
        scores=_scores(mean) if mean else None,
        valence=None if valence is None else round(valence, SCORE_DIGITS),
        arousal=None if arousal is None else round(arousal, SCORE_DIGITS),
        model_version=model_version,
    )


def _scores(values: Reading) -> Scores:
    return {emotion: round(value, SCORE_DIGITS) for emotion, value in zip(EMOTIONS, values, strict=True)}


def _stretched(span: ParticipantSpan | None, t: float) -> ParticipantSpan:
    return ParticipantSpan(t, t, 1) if span is None else ParticipantSpan(span.first, max(span.last, t), span.frames + 1)
