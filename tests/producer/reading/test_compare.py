"""The page that compares lectures: what it says, and when it says that nothing can be concluded."""

import json
import unicodedata
from collections.abc import Sequence
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import redis

from tests.processes import called
from tests.producer.reading.writing import begin, commit, end
from worker.contract.keys import LectureKeys
from worker.contract.messages import EMOTIONS, ClassEvent, EmotionEvent, Event

SOBER = (0.05, 0.03, 0.03, 0.1, 0.08, 0.06, 0.65)
MERRY = (0.05, 0.03, 0.03, 0.5, 0.08, 0.06, 0.25)


def write_lecture(
    client: redis.Redis,
    name: str,
    people: int,
    usual: Sequence[float],
    chapters: Sequence[tuple[float, str]] = (),
    version: str = "m1",
) -> None:
    """Twenty seconds of people who differ from each other and hardly change."""
    rng = np.random.default_rng(len(name) + people)
    keys = begin(client, name)
    own = rng.dirichlet(np.array(usual) * 30, size=people)
    for frame in range(40):
        events: list[Event] = []
        for person, scores in enumerate(own, 1):
            named = dict(zip(EMOTIONS, map(float, scores), strict=True))
            shown = max(named, key=named.__getitem__)
            box = (1, 2, 30, 40)
            who = name, f"p{person:02d}"
            events.append(EmotionEvent(*who, frame, frame / 2, box, 0.9, shown, named, named, 0.1, 0.1, {}, version))
        mean = dict(zip(EMOTIONS, map(float, own.mean(axis=0)), strict=True))
        commit(client, name, [*events, ClassEvent(name, frame, frame / 2, people, mean, 0.1, 0.1, version)])
    end(client, name)
    client.hset(keys.info, "course", "stats")
    if chapters:
        client.hset(keys.info, "chapters", json.dumps([{"t": t, "title": title} for t, title in chapters]))


def page_of(redis_url: str, *words: object) -> str:
    code, out, err = called("compare", *words, "-o", "-", "--redis", redis_url)
    assert (code, err) == (0, "")
    return unescape(out)


def test_a_course_says_what_differs_where_nothing_can_be_concluded_and_why(client: redis.Redis, redis_url: str) -> None:
    write_lecture(client, "a", 9, SOBER)
    write_lecture(client, "b", 11, MERRY)
    write_lecture(client, "c", 10, SOBER)
    write_lecture(client, "d", 4, MERRY)
    write_lecture(client, "e", 9, SOBER)
    client.hset(LectureKeys("e").info, "class_only", 1)
    client.delete(LectureKeys("e").participants)
    write_lecture(client, "other", 9, SOBER)
    client.hdel(LectureKeys("other").info, "course")
    page = page_of(redis_url, "--course", "stats")
    assert "b displayed 4" in page  # about 40 points
    assert "points more happiness (" in page
    assert " (95% interval " in page
    assert "11 people against 9." in page
    assert "No difference between c and a can be concluded: all intervals include zero. 10 people against 9." in page
    assert "Nothing can be concluded about d and a: only 4 people could be read long enough in d" in page
    assert "Nothing can be concluded about e and a: e was ingested with --class-only" in page
    assert "<script" not in page
    assert ">other<" not in page


def test_chapters_with_the_same_title_are_compared(client: redis.Redis, redis_url: str) -> None:
    write_lecture(client, "a", 9, SOBER, [(0, "Intro"), (10, "Only here")])
    write_lecture(client, "b", 9, MERRY, [(0, "<b>"), (5, "Intro")])
    page = page_of(redis_url, "a", "b")
    assert page.count("<h3>Intro</h3>") == 1
    assert "<h3>Only here</h3>" not in page
    assert page.count("b displayed ") == 2


def test_people_with_the_same_name_are_the_same_and_rosters_belong_to_compared_lectures(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    write_lecture(client, "a", 6, SOBER)
    write_lecture(client, "b", 6, MERRY)
    names = ", ".join(f"p{n:02d}: Jürgen {n}" for n in range(1, 6))
    roster, other = tmp_path / "r.yaml", tmp_path / "of a Mac.yaml"
    roster.write_text(f"participants: {{{names}}}")
    other.write_text(unicodedata.normalize("NFD", roster.read_text()))
    at = ["--redis", redis_url]
    rosters = ["--roster", f"a={roster}", "--roster", f"b={other}"]
    assert "6 people against 6, 5 of them in both." in page_of(redis_url, "a", "b", *rosters)
    roster.write_text(f"participants: {{{names}, p08: Eve, p09: Max}}")
    write_lecture(client, "c", 8, SOBER)
    code, _, err = called("compare", "a", "c", "-o", "-", "--roster", f"a={roster}", "--roster", f"c={roster}", *at)
    assert (code, err) == (0, "producer: the roster of a names p09, not seen in a, c\n"), "p08 is in one of them"
    assert "in both" not in page_of(redis_url, "a", "b")
    code, _, err = called("compare", "a", "b", "-o", "-", "--roster", f"d={roster}", "--redis", redis_url)
    assert (code, "the roster of 'd' has no lecture here; compared: a, b" in err) == (2, True)


def test_lectures_of_other_models_or_with_lost_events_are_marked(client: redis.Redis, redis_url: str) -> None:
    write_lecture(client, "a", 6, SOBER)
    write_lecture(client, "b", 6, SOBER)
    client.delete(LectureKeys("b").participant("p02"))
    assert "Lecture b is incomplete: events are missing" in (page := page_of(redis_url, "a", "b"))
    assert "different models" not in page
    write_lecture(client, "c", 6, SOBER, version="m2")
    assert "The lectures were read by different models." in page_of(redis_url, "a", "c")


def test_a_lecture_without_frames_is_there_and_nothing_is_said_about_it(client: redis.Redis, redis_url: str) -> None:
    write_lecture(client, "a", 6, SOBER)
    client.hset(begin(client, "b").info, "begin", 600)
    page = page_of(redis_url, "a", "b")
    assert "<td>0:00:00</td>" in page
    assert "Nothing can be concluded about b and a: no face could be read in b." in page
    assert "Lecture b is not over; it is shown up to now." in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a"], "a comparison needs at least two lectures, not only 'a'"),
        ([], "a comparison needs at least two lectures, not nothing"),
        (["a", "nowhere"], "there is no lecture 'nowhere'"),
        (["--course", "physics"], "no lecture has the course 'physics'"),
        (["a", "b", "--roster", "r.yaml"], "'r.yaml' does not say whose roster it is; write LECTURE=FILE"),
        (["a", "b", "-o", "c.pdf"], "cannot write a page to 'c.pdf': the name must end in .html"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    client: redis.Redis, redis_url: str, words: list[str], said: str
) -> None:
    write_lecture(client, "a", 1, SOBER)
    code, out, err = called("compare", "-o", "-", *words, "--redis", redis_url)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_the_length_of_a_part_is_that_of_the_part(client: redis.Redis, redis_url: str) -> None:
    write_lecture(client, "a", 6, SOBER)
    write_lecture(client, "b", 6, SOBER)
    client.hset(LectureKeys("b").info, "begin", 15)
    page = page_of(redis_url, "a", "b")
    assert page.count("0:00:20") == 1
    assert page.count("0:00:05") == 1
