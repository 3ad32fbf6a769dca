"""Stretches, bursts, arrivals and departures are found where they are, and nothing where nothing is. The benchmark
`moments` measures it with more lectures."""

import pytest

from producer.reading.analysis.moment import Moment
from producer.reading.analysis.moments import moments
from tests.producer.reading.scripted import scripted_timeline
from tests.producer.reading.simulated import Episode, Script, simulated_timeline


def found(script: Script, seed: int = 1, class_only: bool = False) -> list[Moment]:
    return moments(simulated_timeline(script, seed, class_only))


@pytest.mark.parametrize("class_only", [False, True])
@pytest.mark.parametrize("emotions", [("happiness",), ("anger", "sadness")])
def test_a_stretch_is_found_with_its_ends_its_emotions_and_its_people(
    emotions: tuple[str, ...], class_only: bool
) -> None:
    (stretch,) = found(Script(9, 900, episodes=[Episode(400, 520, emotions)]), 2, class_only)
    assert stretch.kind == "stretch"
    assert abs(stretch.begin - 400) <= 10
    assert abs(stretch.end - 520) <= 10
    assert {each for each, change in stretch.emotions.items() if change > 0.08} == set(emotions)
    assert stretch.p <= 0.01
    if class_only:
        assert (stretch.people, stretch.of) == (None, None)
    else:
        assert 5 <= (stretch.people or 0) <= 8
        assert stretch.of in (8, 9)


def test_a_stretch_is_found_though_everybody_changes_expression_every_4_to_9_s() -> None:
    episodes = [Episode(500, 740, ("anger", "sadness"), 30), Episode(300, 305, ("happiness",), share=0.9)]
    burst, stretch = found(Script(25, 1200, 1, episodes, keep_for=(4, 9)), 1)
    assert (burst.kind, stretch.kind) == ("burst", "stretch")
    assert abs(burst.begin - 300) <= 2
    assert abs(stretch.begin - 500) <= 10
    assert abs(stretch.end - 740) <= 10
    assert set(list(stretch.emotions)[:2]) == {"anger", "sadness"}


@pytest.mark.parametrize("class_only", [False, True])
@pytest.mark.parametrize("neutral", [1 / 7, 0.64])
def test_nothing_is_found_where_everybody_changes_expression_alone(neutral: float, class_only: bool) -> None:
    assert found(Script(9, 1200, 1, keep_for=(4, 9), neutral=neutral), 3, class_only) == []


def test_without_ids_the_number_of_faces_says_who_left_and_came() -> None:
    script = Script(12, 900, leave={1: 600, 4: 604, 7: 599, 8: 600}, join={3: 200, 5: 203, 6: 201})
    came, left = found(script, class_only=True)
    assert (came.kind, left.kind) == ("arrivals", "departures")
    assert abs((came.people or 0) - 3) <= 1
    assert abs((left.people or 0) - 4) <= 1
    assert abs(left.begin - 599) <= 3
    assert abs(came.end - 203) <= 3


def test_a_burst_lies_between_its_steepest_steps() -> None:
    (burst,) = found(Script(9, 120, episodes=[Episode(15, 20, ("happiness",), 50, 1.0)]))
    assert burst.kind == "burst"
    assert abs(burst.begin - 15) <= 1
    assert abs(burst.end - 20) <= 1
    assert next(iter(burst.emotions)) == "happiness"


@pytest.mark.parametrize("people", [1, 2, 4, 9, 16])
def test_nothing_is_found_where_people_only_flicker_drift_and_look_away(people: int) -> None:
    assert found(Script(people, 600), seed=people) == []


def test_several_who_leave_or_come_together_are_one_moment_each_and_a_single_one_is_none() -> None:
    script = Script(9, 900, leave={1: 600, 4: 604, 7: 599, 2: 300}, join={3: 200, 5: 210})
    came, left = found(script)
    assert (came.kind, came.people, left.kind, left.people) == ("arrivals", 2, "departures", 3)
    assert abs(came.begin - 200) <= 2
    assert abs(left.begin - 599) <= 3
    assert abs(left.end - 604) <= 3
    assert left.emotions == {}


@pytest.mark.parametrize(
    "script",
    [
        Script(9, 600, hidden=[(300, 360)]),  # a slide fills the picture
        Script(9, 600, leave={each: 585 + each for each in range(9)}),  # the lecture ends
        Script(9, 600, join={each: 3 * each for each in range(9)}),
        Script(9, 600, leave=dict.fromkeys(range(9), 300)),  # from here on, only slides are recorded
        Script(9, 600, leave={0: 300, 1: 300, 2: 300}, join={6: 301, 7: 301, 8: 301}),  # new ids for the same people
    ],
)
def test_slides_begin_end_and_new_ids_are_no_arrivals_and_no_departures(script: Script) -> None:
    assert found(script) == []


def test_the_begin_of_a_part_of_a_recording_is_no_arrival() -> None:
    """Read from 0:10:00 to 0:50:00; two are there, and seven follow within a minute and a half."""

    def shows(person: int, frame: int) -> str | None:
        return "neutral" if frame >= (300 if person < 2 else 325 + 2 * person) else None

    timeline = scripted_timeline(9, 1500, shows, fps=0.5, skipped=range(300))
    assert moments(timeline) == []


def test_moments_as_json_have_the_words_of_the_documentation() -> None:
    moment = Moment("stretch", 1.0, 30.0, {"anger": 0.2}, 6, 9, 0.005)
    assert moment.as_json() == {
        "kind": "stretch",
        "from": 1.0,
        "to": 30.0,
        "emotions": {"anger": 0.2},
        "people": 6,
        "of": 9,
        "p": 0.005,
    }


def test_a_moment_in_words_names_the_largest_changes() -> None:
    change = {"happiness": 0.312, "neutral": -0.25, "sadness": -0.04, "fear": 0.0}
    assert Moment("stretch", 1, 30, change, 5, 9, 0.01).in_words == "happiness up 31 points, neutral down 25"
    assert Moment("departures", 1, 3, {}, 3, 9, 0.01).in_words == "3 of 9 people left"


@pytest.mark.parametrize("seconds", [4, 8, 9, 10])
def test_a_lecture_that_is_shorter_than_the_longest_burst_is_searched(seconds: int) -> None:
    def shows(person: int, frame: int) -> str:
        return "happiness" if 3 <= frame / 2 < 6 else "neutral"

    assert moments(scripted_timeline(3, 2 * seconds, shows)) == []


def test_stretches_that_fill_the_lecture_are_compared_with_all_the_rest_of_it() -> None:
    def shows(person: int, frame: int) -> str:
        mixed = (person * 7919 + frame * 104729) % 97
        main = "happiness" if frame < 600 else "sadness"
        return main if mixed % 5 else ("happiness", "sadness", "anger", "neutral")[mixed % 4]

    merry, sad = moments(scripted_timeline(4, 1200, shows))
    assert [(each.begin, each.end) for each in (merry, sad)] == [(0, 300), (300, 600)]
    for one, other in ((merry, sad), (sad, merry)):
        assert one.emotions["happiness"] == pytest.approx(-other.emotions["happiness"])
    assert merry.emotions["happiness"] > 0.5
    assert sad.emotions["sadness"] > 0.5


def test_the_border_of_a_part_without_ids_follows_from_the_length_of_the_part() -> None:
    def shows(person: int, frame: int) -> str | None:
        return "neutral" if person > 3 or frame < 4240 else None

    whole = scripted_timeline(12, 4320, shows, 1.0, class_only=True)
    part = scripted_timeline(12, 4320, shows, 1.0, class_only=True, skipped=range(3400))
    assert moments(whole) == []
    (left,) = moments(part)
    assert (left.kind, left.people) == ("departures", 4)
    assert abs(left.begin - 4239) <= 3
