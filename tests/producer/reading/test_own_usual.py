"""The change against a person's own usual, which the exports show."""

import pytest

from producer.reading.analysis.own_usual import OwnUsual
from tests.producer.reading.scripted import scripted_events


def test_a_person_is_compared_with_themselves_and_the_class_is_the_mean_of_those_changes() -> None:
    def shows(person: int, frame: int) -> str | None:
        if person == 2:
            return None if frame % 2 else "dark"
        resting = "sadness" if person == 0 else "neutral"
        return "happiness" if frame >= 30 else resting

    own = OwnUsual()
    frames = list(scripted_events(3, 40, shows))
    for frame in frames:
        for event in frame:
            own.add(event)
    resting = own.of("p01")
    assert resting is not None
    assert resting["sadness"] == pytest.approx(0.88, abs=0.03)
    assert own.of("p03") is None
    changes = [[own.change(event) for event in events] for events in frames]
    *people, of_class = changes[0]
    assert people[2] is None
    assert of_class is not None
    assert max(map(abs, of_class.values())) < 0.03, "a resting face is no change, whatever it displays"
    smiling = changes[35][-1]
    assert smiling is not None
    assert smiling["happiness"] == pytest.approx(0.86, abs=0.03)
    assert smiling["sadness"] == pytest.approx(-0.43, abs=0.03)


def test_where_single_people_are_not_known_neither_are_their_changes() -> None:
    own = OwnUsual()
    (frame,) = scripted_events(2, 1, lambda *_: "fear")
    assert own.change(frame[-1]) is None
