"""Following a lecture: all events, in order, live and later, in bounded memory."""

import threading
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any
from unittest.mock import patch

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer.reading.follow import ParticipantUnknown, follow, replay
from producer.reading.lectures import LectureForgotten, LectureUnknown, forget
from producer.reading.merging import LectureUnreadable, OneStream
from tests.producer.reading.writing import begin, class_, commit, emotion, end, frame_events, write
from worker.contract.keys import LectureKeys
from worker.contract.messages import EmotionEvent, EndEvent, Event, SlideEvent
from worker.contract.streams import publish

PRESENCE = st.lists(st.sets(st.sampled_from(["p01", "p02", "p03", "p10"])), max_size=14)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producer.reading.follow.WAKE_MS", 50)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(presence=PRESENCE, per_commit=st.integers(1, 6), page=st.integers(1, 5))
def test_a_replay_is_complete_and_in_order_for_any_commits_and_page_sizes(
    client: redis.Redis, presence: list[set[str]], per_commit: int, page: int
) -> None:
    client.flushall()
    published = write(client, "l", presence, per_commit)
    with patch("producer.reading.merging.PAGE", page):
        assert list(follow(client, "l")) == published
        assert list(replay(client, "l")) == published
        for participant in set().union(*presence):
            own = [event for event in published if getattr(event, "participant", participant) == participant]
            assert list(follow(client, "l", participant)) == [e for e in own if isinstance(e, (EmotionEvent, EndEvent))]


def test_a_live_follower_gets_the_same_events_as_a_replay(client: redis.Redis) -> None:
    begin(client, "l")
    presence: list[Collection[str]] = [("p02", "p01")[: n % 3] for n in range(30)]
    seen: list[Event] = []
    follower = threading.Thread(target=lambda: seen.extend(follow(client, "l")))
    follower.start()
    for n in range(0, 30, 3):
        commit(client, "l", [event for m in range(n, n + 3) for event in frame_events("l", m, presence[m])])
    end(client, "l")
    follower.join(timeout=60)
    assert seen == [*(event for n in range(30) for event in frame_events("l", n, presence[n])), seen[-1]]
    assert seen == list(follow(client, "l"))


def test_an_event_waits_for_the_class_event_of_its_frame(client: redis.Redis) -> None:
    begin(client, "l")
    commit(client, "l", frame_events("l", 0, ["p01"]))
    events = follow(client, "l")
    commit(client, "l", [emotion("l", "p01", 1)])
    assert list(islice(events, 2)) == frame_events("l", 0, ["p01"])
    commit(client, "l", [class_("l", 1, 1)])
    assert list(islice(events, 2)) == frame_events("l", 1, ["p01"])


def test_events_published_after_their_class_event_are_not_lost(client: redis.Redis) -> None:
    begin(client, "l")
    commit(client, "l", [class_("l", 0, 0), class_("l", 1, 0)])
    events = follow(client, "l")
    assert [next(events), next(events)] == [class_("l", 0, 0), class_("l", 1, 0)]
    late = [emotion("l", "p01", 0), emotion("l", "p01", 1)]
    commit(client, "l", [*late, *frame_events("l", 2, ["p01"])])
    assert list(islice(events, 4)) == [*late, *frame_events("l", 2, ["p01"])]


def test_following_from_now_on_skips_earlier_events(client: redis.Redis) -> None:
    begin(client, "l")
    commit(client, "l", [event for n in range(5) for event in frame_events("l", n, ["p01"])])
    later = [event for n in range(5, 7) for event in frame_events("l", n, ["p01", "p02"])]

    def steps() -> Iterator[None]:
        commit(client, "l", later)
        yield
        end(client, "l")
        yield

    step = steps()
    seen = list(follow(client, "l", from_start=False, while_waiting=lambda: next(step)))
    assert seen[:-1] == later
    assert isinstance(seen[-1], EndEvent)


def test_of_a_finished_lecture_only_its_end_is_new_and_other_participants_are_unknown(client: redis.Redis) -> None:
    published = write(client, "l", [{"p01", "p02"}] * 3)
    for participant in (None, "p01"):
        assert list(follow(client, "l", participant, from_start=False)) == published[-1:]
    with pytest.raises(ParticipantUnknown, match=r"'l' has no participant 'p09'; it has p01, p02"):
        next(follow(client, "l", "p09"))
    for read in (follow, replay):
        with pytest.raises(LectureUnknown, match="no lecture 'k'"):
            next(read(client, "k"))


def test_following_a_participant_who_never_comes_gives_the_end_or_an_exception_of_the_caller(
    client: redis.Redis,
) -> None:
    begin(client, "l")
    commit(client, "l", frame_events("l", 0, ["p01"]))
    with pytest.raises(ZeroDivisionError):
        next(follow(client, "l", "p02", while_waiting=lambda: 1 // 0))  # type: ignore[arg-type]
    events = follow(client, "l", "p02", while_waiting=lambda: end(client, "l"))  # type: ignore[arg-type]
    assert [type(event) for event in events] == [EndEvent]


def test_forgetting_a_lecture_ends_its_followers_with_an_error(client: redis.Redis) -> None:
    begin(client, "l")
    commit(client, "l", frame_events("l", 0, ["p01"]))
    events = follow(client, "l", while_waiting=lambda: forget(client, "l"))
    assert list(islice(events, 2)) == frame_events("l", 0, ["p01"])
    with pytest.raises(LectureForgotten, match="'l' was forgotten"):
        next(events)


def test_a_long_replay_reads_page_by_page(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producer.reading.merging.PAGE", 8)
    published = write(client, "l", [{"p01", "p02"}] * 100, per_commit=50)
    ahead: list[int] = []
    answered = client.xread

    def counted(*args: Any, **options: Any) -> Any:
        answer: Any = answered(*args, **options)
        ahead.append(max((len(entries) for _, entries in answer), default=0))
        return answer

    monkeypatch.setattr(client, "xread", counted)
    assert list(follow(client, "l")) == published
    assert max(ahead) == 8
    assert sum(ahead) >= 200


def test_participants_that_a_stranger_wrote_do_not_keep_others_from_being_read(client: redis.Redis) -> None:
    published = write(client, "l", [{"p01"}])
    client.hset(LectureKeys("l").participants, mapping={"no{such}": "1", b"\xff": "1"})
    assert list(follow(client, "l")) == published


def test_slides_come_after_later_frames_once_and_do_not_hide_them(client: redis.Redis) -> None:
    """A slide's event has the frame of the change, and comes after the class events of later frames."""
    keys = begin(client, "l")
    slides = [SlideEvent("l", 0, 0.0, 1), SlideEvent("l", 3, 1.5, 2)]
    before = [event for n in range(6) for event in frame_events("l", n, ["p01"])]
    after = [event for n in range(6, 9) for event in frame_events("l", n, ["p01"])]

    def publish_slides() -> None:
        for slide in slides:
            with client.pipeline() as pipe:
                publish(pipe, keys.class_, slide)
                pipe.execute()

    commit(client, "l", before)
    publish_slides()
    assert OneStream(client, keys.class_).skip_to_end() == 5, "the newest frame, not that of the slide"
    commit(client, "l", after)
    publish_slides()  # Redis crashed and lost them, so they are published again
    ended = end(client, "l")
    assert list(replay(client, "l")) == [*before, *slides, *after, ended]


def test_slides_whose_numbers_begin_again_are_all_read(client: redis.Redis) -> None:
    """A worker of an older version that commits a chunk drops the count of slides."""
    keys = begin(client, "l")
    slides = [SlideEvent("l", 2 * n, float(n), number) for n, number in enumerate([1, 2, 3, 1, 2])]
    commit(client, "l", [class_("l", n, 0) for n in range(10)])
    with client.pipeline() as pipe:
        for each in [*slides, slides[-1]]:
            publish(pipe, keys.class_, each)
        pipe.execute()
    assert [each for each in replay(client, "l") if isinstance(each, SlideEvent)] == slides


def test_an_entry_of_another_program_or_a_newer_version_is_named(client: redis.Redis) -> None:
    write(client, "l", [{"p01"}])
    client.xadd(LectureKeys("l").class_, {"event": b'{"type":"mood","lecture":"l"}'})
    with pytest.raises(LectureUnreadable, match=r"lecture 'l' cannot be read: lecture:\{l\}:class has an entry .*mood"):
        list(replay(client, "l"))
