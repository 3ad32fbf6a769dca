"""The sentences of a report: one test for each rule."""

import json

import pytest
import redis

from producer.reading.analysis.moment import Kind, Moment
from producer.reading.analysis.sentences import most_worth_watching, sentence, sentences
from producer.reading.analysis.timeline import Timeline
from tests.processes import called
from tests.producer.reading.scripted import scripted_events, scripted_timeline, write_scripted
from tests.producer.reading.writing import timeline_of
from worker.contract.messages import EMOTIONS


def moment(kind: Kind, begin: float = 1105, end: float = 1500, people: int | None = 6, **change: float) -> Moment:
    return Moment(kind, begin, end, change, people, None if people is None else 9, 0.005)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            moment("stretch", anger=0.16, sadness=0.14, neutral=-0.25),
            "From 0:18:25 to 0:25:00, 6 of 9 people displayed more anger and sadness than usual.",
        ),
        (
            moment("stretch", happiness=-0.2, neutral=0.06),
            "From 0:18:25 to 0:25:00, 6 of 9 people displayed less happiness than usual.",
        ),
        (
            moment("stretch", people=None, fear=0.3),
            "From 0:18:25 to 0:25:00, the class displayed more fear than usual.",
        ),
        (
            Moment("stretch", 0, 30, {"fear": 0.3}, 1, 1, 0.005),
            "From 0:00:00 to 0:00:30, the person displayed more fear than usual.",
        ),
        (moment("burst", 1700, 1705, happiness=0.5), "At 0:28:20, 6 of 9 people displayed more happiness for 5 s."),
        (moment("departures", 2000, 2004, 3), "At 0:33:20, 3 of 9 people left the picture and did not come back."),
        (
            moment("departures", 2000, 2040, 3),
            "From 0:33:20 to 0:34:00, 3 of 9 people left the picture and did not come back.",
        ),
        (moment("arrivals", 2000, 2004, 3), "At 0:33:20, 3 of 9 people came into the picture for the first time."),
        (moment("arrivals", 2000, 2004, None), "At 0:33:20, several people came into the picture for the first time."),
    ],
)
def test_a_moment_is_a_sentence(given: Moment, said: str) -> None:
    assert sentence(given).text == said
    assert next(each for each in sentence(given).parts if not isinstance(each, str)) == given.begin


def said_about(timeline: Timeline, *moments: Moment, running: bool = False) -> list[str]:
    return [each.text for each in sentences(timeline, moments, running)]


CALM = scripted_timeline(3, 120, lambda *_: "neutral")


def test_without_a_moment_it_says_so_and_who_was_in_view() -> None:
    assert said_about(CALM) == [
        "On the whole, the class displayed mostly neutral (88%).",
        "Nothing stood out: at no time did the class clearly display something other than usual.",
        "On average 3.0 of 3 people were in view.",
    ]
    assert said_about(CALM, running=True)[1].startswith("Until now nothing stood out")


def test_without_a_large_share_no_expression_prevailed() -> None:
    mixed = scripted_timeline(7, 120, lambda person, _: EMOTIONS[person])
    assert said_about(mixed)[0].startswith("On the whole, no expression prevailed: the largest shares are ")
    four = scripted_timeline(4, 120, lambda person, frame: EMOTIONS[(person + frame) % 7], class_only=True)
    assert "no expression prevailed" in said_about(four)[0]


def test_of_many_moments_three_have_a_sentence_and_the_others_are_counted() -> None:
    several = [moment("burst", at, at + 5, happiness=at / 1000) for at in (100, 200, 300, 400)]
    stretch, left = moment("stretch", fear=0.2), moment("departures", 2000, 2004, 3)
    assert most_worth_watching([*several, stretch, left]) == [several[3], stretch, left]
    lines = said_about(CALM, *several, stretch, left)
    assert len(lines) == 5
    assert lines[-1] == (
        "3 more moments are in the list of moments. The rest of the time, the class displayed what it usually does."
    )


def test_if_only_people_left_it_says_that_the_display_did_not_change() -> None:
    assert said_about(CALM, moment("departures"))[-1] == "What the class displayed did not change clearly at any time."


@pytest.mark.parametrize(
    ("timeline", "said"),
    [
        (scripted_timeline(0, 0, lambda *_: None), "No frame was analysed, so nothing can be said about this lecture."),
        (
            scripted_timeline(2, 60, lambda *_: None),
            "No face was found in any frame, so nothing can be said about this lecture.",
        ),
        (
            scripted_timeline(2, 60, lambda *_: "dark"),
            "Too little can be read to say how the class went: 100% of the faces were too small, turned away, too dark "
            "or too blurred.",
        ),
        (
            scripted_timeline(2, 20, lambda *_: "fear"),
            "Too little can be read to say how the class went: faces could be read in less than 20 s.",
        ),
    ],
)
def test_if_too_little_can_be_read_it_says_so_first(timeline: Timeline, said: str) -> None:
    assert said_about(timeline)[0] == said


def test_the_command_prints_sentences_or_moments(client: redis.Redis, redis_url: str) -> None:
    def shows(person: int, frame: int) -> str:
        return "sadness" if 200 <= frame < 300 and person else "neutral"

    write_scripted(client, scripted_events(4, 600, shows), ended=False)
    code, out, err = called("summary", "l", "--redis", redis_url)
    assert code == 0
    assert "From 0:01:40 to 0:02:30, 3 of 4 people displayed more sadness than usual." in out
    assert "lecture l is not over" in err
    code, out, _ = called("summary", "l", "--json", "--redis", redis_url)
    (only,) = json.loads(out)
    assert (only["kind"], only["from"], only["to"], only["people"], only["of"]) == ("stretch", 100.0, 150.0, 3, 4)
    assert called("summary", "k", "--redis", redis_url)[0] == 2


def test_if_the_roster_leaves_out_everybody_it_says_so() -> None:
    alone = timeline_of(scripted_events(1, 60, lambda *_: "fear"), without=["p01"])
    only = "Only people whom the roster leaves out were in view, so nothing can be said about this lecture."
    assert said_about(alone) == [only]
