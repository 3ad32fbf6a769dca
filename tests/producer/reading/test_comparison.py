"""Differences between lectures: what people, known ones and synthetic ones, make of the intervals."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.reading.analysis.comparison import MIN_PEOPLE, Shares, differences, interval, shares
from producer.reading.analysis.timeline import Array
from tests.producer.reading.scripted import scripted_timeline
from worker.contract.messages import EMOTIONS

HAPPINESS = EMOTIONS.index("happiness")

# Mean shares of a class, and how alike its people are: with 15, half of them display 11 to 28 % of happiness.
USUAL = np.array([0.05, 0.03, 0.03, 0.2, 0.08, 0.06, 0.55])
ALIKE = 15.0


def lecture(seed: int, people: int, usual: Array = USUAL, name: str = "l") -> Shares:
    """A lecture of an hour. Its people are drawn at random, and were in view for a tenth of the time to all of it."""
    rng = np.random.default_rng(seed)
    own = rng.dirichlet(usual * ALIKE, size=people)
    read = np.ceil(7200 * rng.uniform(0.1, 1, size=people))
    keys = tuple(f"{name}/p{n:02d}" for n in range(people))
    return Shares(read @ own / read.sum(), keys, own * read[:, np.newaxis], read)


def test_people_who_displayed_the_same_differ_by_chance_in_at_most_one_comparison_of_twenty() -> None:
    found = 0
    for seed in range(100):
        pair = lecture(seed, 8 + seed % 5, name="a"), lecture(1000 + seed, 6 + seed % 7, name="b")
        (difference,) = differences([pair])
        found += bool(difference.certain.any())
    assert found <= 10  # 5 are expected at most; 11 or more come by chance once in a hundred times


def test_a_difference_of_thirty_points_is_found_with_ten_people_and_its_interval_holds_it() -> None:
    more = USUAL + 0.3 * (np.eye(7)[HAPPINESS] - np.eye(7)[EMOTIONS.index("neutral")])
    found = held = 0
    for seed in range(40):
        (difference,) = differences([(lecture(seed, 10, name="a"), lecture(1000 + seed, 10, more, "b"))])
        found += bool(difference.certain[HAPPINESS])
        held += bool(difference.low[HAPPINESS] <= 0.3 <= difference.high[HAPPINESS])
    assert found >= 36
    assert held >= 36


def test_the_interval_of_a_share_holds_the_true_one() -> None:
    held = []
    for seed in range(60):
        ends = interval(lecture(seed, 9))
        assert ends is not None
        held.append((ends[0] <= USUAL) & (ends[1] >= USUAL))
    assert np.mean(held) > 0.88  # 0.95, less what few people cost


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), people=st.integers(MIN_PEOPLE, 30), longer=st.integers(2, 1000))
def test_more_frames_of_the_same_people_make_nothing_more_certain(seed: int, people: int, longer: int) -> None:
    one, other = lecture(seed, people, name="a"), lecture(seed + 1, people, name="b")
    more = Shares(other.mean, other.people, longer * other.scores, longer * other.read)
    (before,), (after,) = differences([(one, other)]), differences([(one, more)])
    assert np.allclose(before.low, after.low)
    assert np.allclose(before.high, after.high)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), people=st.integers(MIN_PEOPLE, 30))
def test_the_order_of_two_lectures_changes_only_the_sign(seed: int, people: int) -> None:
    one, other = lecture(seed, people, name="a"), lecture(seed + 1, people + 3, name="b")
    (there,), (back,) = differences([(one, other)]), differences([(other, one)])
    assert np.allclose(there.shares, -back.shares)
    assert np.allclose(there.low, -back.high)
    assert (there.low <= there.shares).all()
    assert (there.shares <= there.high).all()


def test_the_same_people_in_both_lectures_are_compared_with_themselves() -> None:
    """Everybody displays 1 to 3 points more happiness. Compared with strangers that is not certain."""
    one = lecture(4, 12)
    added = (np.linspace(0.01, 0.03, 12) * one.read)[:, np.newaxis] * (
        np.eye(7)[HAPPINESS] - np.eye(7)[EMOTIONS.index("neutral")]
    )
    scores = one.scores + added
    same = Shares(scores.sum(axis=0) / one.read.sum(), one.people, scores, one.read)
    strangers = Shares(same.mean, tuple(f"b{each}" for each in one.people), scores, one.read)
    with_themselves, with_strangers = differences([(one, same)])[0], differences([(one, strangers)])[0]
    assert with_themselves.certain[HAPPINESS]
    assert not with_strangers.certain.any()


def test_shares_are_those_of_people_who_were_read_long_enough() -> None:
    def shows(person: int, frame: int) -> str | None:
        if person == 2 and frame > 5:
            return None  # somebody who passes by
        return "small" if person == 1 and frame < 50 else "happiness" if person == 1 else "neutral"

    timeline = scripted_timeline(3, 100, shows)
    keys = {f"p{n:02d}": f"l/p{n:02d}" for n in (1, 2, 3)}
    found = shares(timeline, keys)
    assert (found.people, found.read.tolist()) == (("l/p01", "l/p02"), [100.0, 50.0])
    assert found.mean is not None
    assert found.mean[HAPPINESS] == (100 * 0.02 + 50 * 0.88) / 150
    assert interval(found) is None  # too few people
    second_half = shares(timeline, keys, np.arange(timeline.bins) >= 25)
    assert second_half.read.tolist() == [50.0, 50.0]
    of_class = shares(scripted_timeline(3, 100, shows, class_only=True), {})
    assert of_class.people == ()
    assert of_class.mean is not None
