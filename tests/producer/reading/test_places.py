"""Where participants sat: from their boxes to a tile and to words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from producer.reading.analysis.places import Area, Place, PlacesBuilder, estimated_places
from tests.gallery import Tile, tiles
from tests.producer.reading.writing import emotion
from worker.contract.messages import PixelBox

SIZE = (1280, 720)


def face_in(tile: Tile, size: float = 0.4, moved: float = 0.0) -> PixelBox:
    """The box of a face in a tile: its size and how far it moved aside, in heights of the tile."""
    side = size * tile.height
    x = tile.x + tile.width / 2 - side / 2 + moved * tile.height
    return round(x), round(tile.y + 0.25 * tile.height), round(side), round(side)


def places(boxes: dict[str, list[PixelBox]]) -> dict[str, Place]:
    found = PlacesBuilder(*SIZE)
    for participant, sightings in boxes.items():
        for frame, box in enumerate(sightings):
            found.add(replace(emotion("l", participant, frame), box=box))
    return found.places()


def overlap(one: Area, other: Tile) -> float:
    """Intersection over union."""
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    shared = max(across, 0) * max(down, 0)
    return shared / (one.width * one.height + other.width * other.height - shared)


@pytest.mark.parametrize("people", [1, 2, 3, 4, 6, 9, 16, 25, 49])
@pytest.mark.parametrize("size", [0.3, 0.5])
def test_the_tiles_of_a_gallery_are_found_from_the_faces(people: int, size: float) -> None:
    truth = tiles(people, *SIZE)
    drift = [-0.08, 0.0, 0.08]
    found = places({f"p{n}": [face_in(tile, size, moved) for moved in drift] for n, tile in enumerate(truth)})
    assert min(overlap(found[f"p{n}"].tile, tile) for n, tile in enumerate(truth)) > 0.6


def test_the_words_name_the_third_of_the_picture() -> None:
    found = places({f"p{n}": [face_in(tile)] for n, tile in enumerate(tiles(9, *SIZE))})
    rows = ["top left", "top", "top right", "left", "middle", "right", "bottom left", "bottom", "bottom right"]
    assert [found[f"p{n}"].words for n in range(9)] == rows
    assert found["p5"].map(SIZE)[4:] == (56.2, "right")


def test_somebody_who_moved_is_where_they_were_most_often() -> None:
    first, second = face_in(tiles(4, *SIZE)[0]), face_in(tiles(4, *SIZE)[3])
    found = places({"p01": [first] * 40 + [second] * 60, "p02": [second] * 40 + [first] * 60})
    assert (found["p01"].words, found["p02"].words) == ("bottom right", "top left")


def test_without_events_there_are_no_places() -> None:
    assert PlacesBuilder(*SIZE).places() == {}


AREAS = st.builds(Area, st.floats(-200, 1400), st.floats(-200, 800), st.floats(1, 900), st.floats(1, 900))


@given(st.lists(AREAS, min_size=1, max_size=6))
def test_any_faces_have_a_tile(faces: list[Area]) -> None:
    found = estimated_places({str(n): face for n, face in enumerate(faces)}, *SIZE)
    assert all(place.tile.width >= 1 and place.tile.height >= 1 and place.words for place in found.values())


def test_somebody_with_a_recording_of_their_own_has_no_place() -> None:
    found = PlacesBuilder(*SIZE, "lice=a.mp4, bob=b.mp4")
    for each in ("lice", "ice", "bob"):
        found.add(emotion("l", each, 0))
    assert list(found.places()) == ["ice"]
