"""A producer that is stopped or killed, and another one that resumes its lecture."""

import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from msgspec import structs

from producer.feeding.fed_lecture import LectureGone
from producer.feeding.feed import Feed
from producer.feeding.packing import packed
from producer.feeding.resuming import LectureNotResumable, read_interrupted
from producer.feeding.starting import NewLecture
from tests.conftest import running_redis
from tests.faults.commands import finished, producing
from tests.faults.slides import NEVER, SIZE, Slides, as_printed, begin, in_order, published, undisturbed
from tests.gallery import render_gallery
from tests.lectures import ledger_of
from tests.processes import called, eventually, workers, workers_suspended
from tests.producer.committing import committing, work_on
from tests.producer.feeding.films import film
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys
from worker.contract.lifetimes import FEEDER_TTL_S
from worker.contract.messages import EndEvent, Event, LectureChoices

KEYS = LectureKeys("l")


def test_a_lecture_resumed_twice_has_the_same_events(
    lecture_video: Path, published_undisturbed: dict[str, list[Event]]
) -> None:
    with running_redis() as (url, _), connect(url) as client, workers(url, 1):
        words = ["ingest", lecture_video, "--redis", url, "--lecture", "l", "--json"]
        # While the worker stands still, one of three chunks is fed. So the lecture never ends before the signal.
        with workers_suspended(client), producing(*words, "--max-bytes", 1) as ingest:
            eventually(lambda: client.hlen(KEYS.in_flight))
            ingest.kill()
        eventually(lambda: client.xlen(KEYS.class_) >= 16)
        client.delete(KEYS.feeder)  # otherwise the heartbeat of the killed producer lasts for half a minute
        with ExitStack() as running:
            with workers_suspended(client):
                ingest = running.enter_context(producing(*words, "--max-bytes", 1, "--resume"))
                assert ingest.stdout is not None
                ingest.stdout.readline()  # from now on it handles signals
                eventually(lambda: client.hlen(KEYS.in_flight))
                ingest.send_signal(signal.SIGINT)
                assert ingest.stderr is not None
                assert ingest.stderr.readline().startswith("producer: stopping; ")
            code, _, said = finished(ingest)
            assert code == 130
            assert said[-1].endswith("; --resume continues it")
        with producing(*words, "--resume") as ingest:
            code, events, said = finished(ingest)
        assert (code, said) == (0, [])
        assert published(client, "l") == published_undisturbed
        assert in_order(events) == as_printed(published_undisturbed)
        assert ledger_of(client, KEYS).balances


@pytest.mark.parametrize("count", [1, 16, 17, 40])
def test_a_resumed_feed_cuts_the_same_chunks(client: redis.Redis, count: int) -> None:
    expected = undisturbed(client, 40)
    stop = threading.Event()
    begin(client, "l").run(Slides(40, at=lambda number: stop.set() if number == count - 1 else None), stop)
    work_on(client, KEYS)
    assert client.hget(KEYS.info, "status") == b"stopped"
    assert all(isinstance(stream[-1], EndEvent) for stream in published(client, "l").values())
    interrupted = read_interrupted(client, "l")
    assert interrupted.frames % 16 == 0
    feed = Feed.resume(client, "l", interrupted)
    assert not any(
        event.status for stream in published(client, "l").values() for event in stream if hasattr(event, "status")
    )
    assert client.hmget(KEYS.info, "status", "ended", "reason") == [b"running", None, None]
    feed.run(Slides(40, first=interrupted.frames), NEVER)
    work_on(client, KEYS)
    assert published(client, "l") == expected
    assert ledger_of(client, KEYS).balances


def test_only_one_producer_can_resume_a_lecture_and_the_one_that_slept_stops(client: redis.Redis) -> None:
    slept = begin(client, "l")
    client.delete(KEYS.feeder)
    interrupted = read_interrupted(client, "l")
    Feed.resume(client, "l", interrupted)
    with pytest.raises(LectureNotResumable, match="is being fed"):
        Feed.resume(client, "l", interrupted)
    with pytest.raises(LectureGone, match="fed by another producer"):
        slept.run(Slides(40), NEVER)
    assert ledger_of(client, KEYS).sampled == 0


def test_a_feed_that_slept_within_a_push_does_not_delete_the_pixels_of_the_one_that_resumed_its_lecture(
    client: redis.Redis,
) -> None:
    slept, chunk = begin(client, "l"), next(packed(Slides(20).frames(NEVER), *SIZE))
    client.delete(KEYS.feeder)
    Feed.resume(client, "l", read_interrupted(client, "l")).push(chunk)
    with pytest.raises(LectureGone, match="fed by another producer"):
        slept.push(chunk)
    work_on(client, KEYS)
    assert ledger_of(client, KEYS).published == 16


def test_a_feed_whose_lecture_was_ended_stops_with_advice(client: redis.Redis) -> None:
    slept = begin(client, "l")
    client.hset(KEYS.info, "status", "stopped")
    with pytest.raises(LectureGone, match="was ended because its producer did not answer; --resume continues it"):
        slept.run(Slides(40), NEVER)


def stopped(client: redis.Redis) -> None:
    begin(client, "l").finish("stopped")
    work_on(client, KEYS)


def resumed(redis_url: str, *words: object) -> tuple[int, list[str]]:
    code, printed, said = called("ingest", *words, "--redis", redis_url, "--resume", "--json")
    assert printed == ""
    return code, said.splitlines()


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "talk.mp4"
    render_gallery(path, people=1, seconds=8, size=SIZE, fps=5)
    return path


def test_a_lecture_is_resumed_at_its_own_rate_if_no_other_is_given(
    client: redis.Redis, redis_url: str, short: Path
) -> None:
    Feed.start(client, NewLecture("l", short.name, 5.0, *SIZE)).finish("stopped")
    work_on(client, KEYS)
    code, said = resumed(redis_url, short, "--lecture", "l", "--fps", 1)
    assert (code, said) == (2, ["producer: lecture l cannot be resumed: fps was 5 at its start and is 1 now"])
    words = ["ingest", short, "--lecture", "l", "--redis", redis_url, "--json", "--resume"]
    with committing(redis_url), producing(*words) as ingest:
        assert finished(ingest)[0] == 0
    assert ledger_of(client, KEYS).sampled == 40


SAME = NewLecture("l", "talk.mp4", 2.0, 640, 360)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"source": "other.mp4"}, "source was talk.mp4 at its start and is other.mp4 now"),
        ({"fps": 5.0}, "fps was 2 at its start and is 5 now"),
        ({"width": 1280}, "size in pixels was 640x360 at its start and is 1280x360 now"),
        ({"choices": LectureChoices("ada")}, "participant was not named at its start and is ada now"),
        ({"course": "stats"}, "course was not named at its start and is stats now"),
    ],
)
def test_a_lecture_is_only_resumed_with_the_settings_of_its_start(
    client: redis.Redis, asked: dict[str, Any], said: str
) -> None:
    stopped(client)
    interrupted = read_interrupted(client, "l")
    interrupted.check(SAME)
    with pytest.raises(LectureNotResumable, match=f"^lecture l cannot be resumed: {said}$"):
        interrupted.check(structs.replace(SAME, **asked))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("status", "done"), "lecture l is done; only a stopped or failed lecture can be resumed"),
        (("dropped", "3"), "lecture l has a live source and cannot be resumed"),
        (("live", "1"), "lecture l has a live source and cannot be resumed"),
    ],
)
def test_a_lecture_that_was_not_interrupted_is_not_resumed(
    client: redis.Redis, change: tuple[str, str], said: str
) -> None:
    stopped(client)
    client.hset(KEYS.info, *change)
    with pytest.raises(LectureNotResumable, match=f"^{said}$"):
        read_interrupted(client, "l")


@pytest.mark.parametrize("reason", ["the decoder was killed 10 times at 0:00:10 (SIGKILL)", "the file was cut off"])
def test_a_lecture_that_failed_is_resumed_where_its_source_fell_short(client: redis.Redis, reason: str) -> None:
    expected = undisturbed(client, 40)
    source = Slides(20)
    source.shortfall = reason
    begin(client, "l").run(source, NEVER)
    work_on(client, KEYS)
    assert client.hmget(KEYS.info, "status", "reason") == [b"failed", reason.encode()]
    interrupted = read_interrupted(client, "l")
    assert interrupted.frames == 20
    Feed.resume(client, "l", interrupted).run(Slides(40, first=20), NEVER)
    work_on(client, KEYS)
    assert client.hmget(KEYS.info, "status", "reason", "sampled") == [b"done", None, b"40"]
    assert frames_of(published(client, "l")) == frames_of(expected)
    assert ledger_of(client, KEYS).balances


def frames_of(streams: dict[str, list[Event]]) -> dict[str, list[int]]:
    """The numbers of the frames of all events by stream."""
    return {
        name: [event.frame for event in events if not isinstance(event, EndEvent)] for name, events in streams.items()
    }


def test_a_lecture_with_failed_frames_whose_source_fell_short_is_resumed_and_stays_failed(client: redis.Redis) -> None:
    source = Slides(20)
    source.shortfall = "the file was cut off"
    begin(client, "l").run(source, NEVER)
    work_on(client, KEYS, fail=True)
    client.hset(KEYS.participants, "no{such}", "a stranger's")
    interrupted = read_interrupted(client, "l")
    assert interrupted.frames == 20
    Feed.resume(client, "l", interrupted).run(Slides(40, first=20), NEVER)
    work_on(client, KEYS)
    assert client.hmget(KEYS.info, "status", "reason") == [b"failed", b"20 of 40 frames failed"]
    assert ledger_of(client, KEYS).balances


def test_a_lecture_that_failed_but_was_fed_to_its_end_has_nothing_left_to_resume(
    client: redis.Redis, redis_url: str, short: Path
) -> None:
    begin(client, "l").run(Slides(40), NEVER)
    work_on(client, KEYS, fail=True)
    assert client.hget(KEYS.info, "status") == b"failed"
    assert not client.exists(KEYS.state), "its descriptors are deleted"
    code, said = resumed(redis_url, short, "--lecture", "l")
    assert (code, len(said)) == (2, 1)
    assert said[0].startswith(
        "producer: lecture l failed (40 of 40 frames failed) and nothing of it is left to resume: "
    )


def test_a_chunk_in_flight_whose_pixels_have_expired_is_fed_again_when_the_lecture_is_resumed(
    client: redis.Redis,
) -> None:
    expected = undisturbed(client, 40)
    with pytest.raises(ZeroDivisionError):
        begin(client, "l").run(Slides(40, at=lambda number: 1 // (number != 36)), NEVER)  # two chunks are fed
    client.delete(KEYS.feeder, KEYS.chunk(0))
    interrupted = read_interrupted(client, "l")
    assert (interrupted.frames, interrupted.next_chunk, interrupted.useless) == (0, 0, (0, 1))
    Feed.resume(client, "l", interrupted).run(Slides(40), NEVER)
    work_on(client, KEYS)
    assert published(client, "l") == expected
    assert ledger_of(client, KEYS).balances


def test_a_cut_off_recording_that_is_complete_now_is_resumed_to_its_end(redis_url: str, tmp_path: Path) -> None:
    video = film(tmp_path / "talk.mkv", pictures=400, noise=60, size=(160, 120))
    whole = video.read_bytes()
    words = ["ingest", video, "--redis", redis_url, "--lecture", "l", "--json"]
    video.write_bytes(whole[: len(whole) // 2])
    with committing(redis_url):
        with producing(*words) as ingest:
            code, cut, said = finished(ingest)
        assert code == 1
        assert said[0].endswith("; everything else is in lecture l; --resume reads on")
        video.write_bytes(whole)
        with producing(*words, "--resume") as ingest:
            code, events, said = finished(ingest)
    assert (code, said) == (0, [])
    assert isinstance(cut[-1], EndEvent)
    assert isinstance(events[-1], EndEvent)
    assert cut[-1].ledger.sampled < events[-1].ledger.sampled == events[-1].ledger.published == 32


def test_while_its_end_is_in_flight_a_lecture_is_not_resumed(client: redis.Redis) -> None:
    begin(client, "l").finish("stopped")
    with pytest.raises(LectureNotResumable, match="ends as soon as workers have processed its last chunks"):
        read_interrupted(client, "l")


def test_a_resume_that_is_not_possible_is_one_line_and_exit_code_2(
    client: redis.Redis, redis_url: str, short: Path
) -> None:
    code, said = resumed(redis_url, short, "--lecture", "l")
    assert (code, said) == (2, ["producer: there is no lecture 'l'; leave out --resume to start it"])
    stopped(client)
    client.delete(KEYS.state)
    code, said = resumed(redis_url, short, "--lecture", "l")
    assert code == 2
    assert "the state of lecture l is gone, it is kept for a day; run `producer forget l` and ingest" in said[0]
    client.set(KEYS.feeder, 1, ex=FEEDER_TTL_S)
    code, said = resumed(redis_url, short, "--lecture", "l")
    assert code == 2
    assert "lecture l is being fed; stop its producer first (if it was killed, try again in " in said[0]


def test_a_lecture_that_has_published_single_people_is_not_resumed_for_the_class_only(
    client: redis.Redis, redis_url: str, short: Path
) -> None:
    stopped(client)
    with committing(redis_url):
        code, said = resumed(redis_url, short, "--lecture", "l", "--class-only")
    assert (code, said) == (
        2,
        [
            "producer: lecture l has published single people since its start; leave out --class-only, or run `producer "
            "forget l` and ingest the recording again"
        ],
    )
    assert client.hget(KEYS.info, "status") == b"stopped"


def test_a_lecture_of_several_recordings_is_resumed_too(client: redis.Redis, redis_url: str, short: Path) -> None:
    words = ["ingest", f"ada={short}", f"bob={short}", "--redis", redis_url, "--json"]
    with committing(redis_url), producing(*words, "--lecture", "whole") as ingest:
        assert finished(ingest)[0] == 0
    with producing(*words, "--lecture", "l", "--max-bytes", 1) as ingest:
        eventually(lambda: client.hlen(KEYS.in_flight))
        ingest.kill()
    client.delete(KEYS.feeder)
    with committing(redis_url), producing(*words, "--lecture", "l", "--resume") as ingest:
        assert finished(ingest)[0] == 0
    assert published(client, "l") == published(client, "whole")


def test_of_several_recordings_the_others_were_fed_further_so_a_failed_lecture_is_not_resumed(
    client: redis.Redis, redis_url: str, short: Path
) -> None:
    source = Slides(20)
    source.shortfall = "ada=a.mp4: the file was cut off"
    begin(client, "l").run(source, NEVER)
    work_on(client, KEYS)
    code, said = resumed(redis_url, f"ada={short}", f"bob={short}", "--lecture", "l")
    assert code == 2
    assert said == [
        "producer: lecture l failed because of one of several recordings, and the others were fed to their end; run "
        "`producer forget l` and ingest them again"
    ]
    assert client.hget(KEYS.info, "status") == b"failed"
