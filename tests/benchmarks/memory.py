"""Redis' memory for an hour of a class, the size of its archive, and what stays in Redis when its streams are trimmed.

A worker reads 10 s of a gallery. The events are published again and again, with new frames and times and scores that
vary by a tenth, until they make an hour, in transactions of 8 frames as a commit does. Memory is what Redis counts
(`used_memory`); it does not depend on the speed of the machine. Seconds are processor time of this program.

    python -m tests.benchmarks.memory [--people 25]
"""

import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import redis
from msgspec.structs import replace

from producer.archive.archive import Archive
from producer.reading.archiving import archive_lecture
from tests.benchmarks.ruler import SIZE, Result, Terms, main
from tests.conftest import running_redis
from tests.gallery import render_gallery
from tests.lectures import begin_lecture, events_of
from tests.processes import called, workers
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys
from worker.contract.messages import ClassEvent, EmotionEvent, EndEvent, Ledger, ParticipantSpan, Scores, encode
from worker.contract.streams import end_lecture, publish

SAMPLE_S = 10
HOUR_S = 3600
AT_ONCE = 8


def benchmark(terms: Terms) -> Result:
    sample = _sample(terms.people)
    rows, measured = [], {}
    for fps in (1, 2):
        measured[f"{fps} fps"] = found = _hour(sample, fps)
        events = found["events"]
        rows.append(
            (
                *(str(terms.people), str(fps), str(events), f"{found['redis'] / 1e6:.0f}"),
                *(f"{found['redis'] / events:.0f}", f"{found['archive'] / 1e6:.0f}", f"{found['trimmed'] / 1e3:.0f}"),
                *(f"{found['archived s']:.1f}", f"{found['read s']:.1f}"),
            )
        )
    columns = (
        "people",
        "fps",
        "events",
        "Redis MB",
        "bytes per event",
        "archive MB",
        "trimmed kB",
        "write s",
        "read s",
    )
    return Result(columns, rows, "no goal", measured)


def _sample(people: int) -> Sequence[EmotionEvent | ClassEvent]:
    """The events of a gallery, as workers publish them."""
    with tempfile.TemporaryDirectory() as folder, running_redis() as (url, _), connect(url) as client:
        video = Path(folder) / "sample.mp4"
        render_gallery(video, people, SAMPLE_S, SIZE)
        with workers(url, 1):
            code, _, said = called("ingest", video, "--lecture", "sample", "--redis", url)
        if code:
            raise RuntimeError(said)
        streams = events_of(client, LectureKeys("sample")).values()
        return [event for each in streams for event in each if isinstance(event, EmotionEvent | ClassEvent)]


def _hour(sample: Sequence[EmotionEvent | ClassEvent], fps: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, running_redis() as (url, _), connect(url) as client:
        before = _used(client)
        keys, events = _publish(client, sample, fps)
        full = _used(client) - before
        archive, begun = Archive(folder), time.process_time()
        archive_lecture(client, archive, "l")
        archived = time.process_time()
        client.delete(keys.class_, *client.scan_iter(f"{keys.info}:participant:*"))
        lecture = archive.lecture("l")
        assert lecture is not None
        assert sum(isinstance(event, ClassEvent) for event in lecture.events()) == HOUR_S * fps
        read = time.process_time()
        return {
            "events": events,
            "redis": full,
            "archive": (Path(folder) / "l.parquet").stat().st_size,
            "trimmed": _used(client) - before,
            "archived s": archived - begun,
            "read s": read - archived,
        }


def _publish(client: redis.Redis, sample: Sequence[EmotionEvent | ClassEvent], fps: int) -> tuple[LectureKeys, int]:
    """Make an hour of the sample; the keys, and the number of events."""
    chance = random.Random(1)
    keys, frames = begin_lecture(client, "l"), 1 + max(event.frame for event in sample)
    by_frame = [[event for event in sample if event.frame == frame] for frame in range(frames)]
    spans: dict[str, int] = {}
    for first in range(0, HOUR_S * fps, AT_ONCE):
        with client.pipeline() as pipe:
            for frame in range(first, first + AT_ONCE):
                for event in by_frame[frame % frames]:
                    moved = replace(
                        event, lecture="l", frame=frame, t=frame / fps, scores=_varied(event.scores, chance)
                    )
                    if isinstance(moved, EmotionEvent):
                        moved = replace(moved, smoothed=_varied(moved.smoothed, chance))
                    of = moved.participant if isinstance(moved, EmotionEvent) else None
                    publish(pipe, keys.class_ if of is None else keys.participant(of), moved)
                    if of is not None:
                        spans[of] = spans.get(of, 0) + 1
            pipe.execute()
    with client.pipeline() as pipe:
        pipe.hset(
            keys.participants, mapping={each: encode(ParticipantSpan(0.0, HOUR_S, n)) for each, n in spans.items()}
        )
        pipe.hset(keys.info, mapping={"sampled": HOUR_S * fps, "published": HOUR_S * fps})
        end = EndEvent("l", "done", None, Ledger(HOUR_S * fps, HOUR_S * fps))
        end_lecture(pipe, keys, end, spans, time.time(), 30 * 86400, resumable=False)
        pipe.execute()
    return keys, HOUR_S * fps + sum(spans.values())


def _varied(scores: Scores | None, chance: random.Random) -> Scores | None:
    """The scores, each up to a tenth larger or smaller. Otherwise the archive would be smaller than that of a class."""
    return scores and {each: round(min(value * chance.uniform(0.9, 1.1), 1.0), 4) for each, value in scores.items()}


def _used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


if __name__ == "__main__":
    main(benchmark)
