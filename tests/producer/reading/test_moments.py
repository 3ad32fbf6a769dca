"""Moments are found where the class changes, and nowhere else."""

from itertools import pairwise

import numpy as np
import pytest

from producer.reading.analysis.moments import Moment, in_words, moments
from tests.producer.reading.scripted import Shows, scripted_timeline
from worker.contract.messages import EMOTIONS

FPS = 2.0


def found(people: int, seconds: float, shows: Shows, class_only: bool = False) -> list[Moment]:
    return moments(scripted_timeline(people, int(seconds * FPS), shows, FPS, class_only=class_only))


def flickering(chance: float = 0.25, seed: int = 1) -> Shows:
    """Neutral with random other emotions, like the predictions for a calm class."""
    random = np.random.default_rng(seed)
    others = [each for each in EMOTIONS if each != "neutral"]
    return lambda person, frame: others[random.integers(6)] if random.random() < chance else "neutral"


def test_a_laugh_gives_a_moment_at_its_beginning_and_one_at_its_end() -> None:
    calm = flickering()
    laughs = range(240, 280)
    first, last = found(9, 300, lambda person, frame: "happiness" if frame in laughs else calm(person, frame))
    assert (first.t, last.t) == (120.0, 140.0)
    assert next(iter(first.change)) == next(iter(last.change)) == "happiness"
    assert first.change["happiness"] > 0.5
    assert last.change["happiness"] < -0.5
    assert (first.compared, first.window_s) == (9, 10.0)


def test_in_a_long_lecture_a_change_of_half_the_class_is_found_to_a_step() -> None:
    calm = flickering()
    (moment,) = found(8, 1500, lambda who, frame: "sadness" if frame >= 2000 and who % 2 else calm(who, frame))
    assert abs(moment.t - 1000) <= 5
    assert next(iter(moment.change)) == "sadness"


def only_one_angry(who: int, frame: int) -> str | None:
    return "anger" if who == 3 and frame > 300 else CALM(who, frame)


def surprised_while_few_are_left(who: int, frame: int) -> str | None:
    if 200 <= frame < 320 and who >= 3:
        return None
    return "surprise" if 250 <= frame < 280 else "neutral"


CALM = flickering()


@pytest.mark.parametrize(
    ("people", "seconds", "shows"),
    [
        *((9, 600, flickering(0.4, seed)) for seed in range(5)),
        (12, 300, only_one_angry),
        (10, 300, surprised_while_few_are_left),
        (5, 10, lambda _, frame: "fear" if frame > 10 else "neutral"),  # too short to compare
        (0, 0, lambda *_: None),
    ],
)
def test_flicker_few_faces_and_a_short_lecture_give_no_moment(people: int, seconds: float, shows: Shows) -> None:
    assert found(people, seconds, shows) == []


def test_faces_that_can_no_longer_be_read_give_no_moment() -> None:
    def shows(person: int, frame: int) -> str:
        return "dark" if person >= 4 and frame >= 300 else "happiness" if person >= 4 else "neutral"

    assert found(8, 300, shows) == []


def test_participants_who_come_or_go_give_no_moment() -> None:
    def shows(person: int, frame: int) -> str | None:
        if person >= 4:  # the cheerful leave
            return "happiness" if frame < 300 else None
        return "neutral"

    assert found(8, 300, shows) == []
    assert found(8, 300, shows, class_only=True) != [], "the class alone does not show the difference"


def test_a_single_participant_needs_a_larger_change() -> None:
    (moment,) = found(1, 200, lambda _, frame: "happiness" if frame >= 200 else "neutral")
    assert (moment.t, moment.compared) == (100.0, 1)
    assert found(1, 200, lambda _, frame: "happiness" if frame >= 200 and frame % 5 == 0 else "neutral") == []


def test_there_are_at_most_eight_moments_the_largest_ones_apart_in_time_order() -> None:
    def shows(person: int, frame: int) -> str:
        return "happiness" if frame // 80 % 2 and person < 3 + frame // 80 // 3 else "neutral"

    several = found(10, 800, shows)
    assert len(several) == 8
    times = [moment.t for moment in several]
    assert times == sorted(times)
    assert min(b - a for a, b in pairwise(times)) > 10
    assert min(moment.size for moment in several) > 0.45


def test_a_class_that_changes_all_the_time_gets_its_largest_changes_marked_as_not_standing_out() -> None:
    random = np.random.default_rng(3)
    parts = random.integers(7, size=(9, 60))

    def shows(person: int, frame: int) -> str:  # a new emotion every 6 s, at another time for each participant
        return EMOTIONS[parts[person, (frame + 5 * person) // 12]]

    largest = found(9, 300, shows)
    assert 1 <= len(largest) <= 3
    assert not any(moment.stands_out for moment in largest)
    assert min(moment.size for moment in largest) >= 0.2
    assert all(moment.stands_out for moment in found(9, 300, lambda _, frame: "anger" if frame > 300 else "fear"))


def test_a_moment_in_words_names_the_largest_changes() -> None:
    change = {"happiness": 0.312, "neutral": -0.25, "sadness": -0.04, "fear": 0.0}
    assert in_words(Moment(1.0, 0.3, change, 10, 5)) == "happiness up 31 points, neutral down 25"
    assert in_words(Moment(1.0, 0.3, {"fear": -0.03}, 10, 5)) == "fear down 3 points"
