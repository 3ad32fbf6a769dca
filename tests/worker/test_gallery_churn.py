"""From pixels to participants: a gallery of real faces in which people leave, join and change tiles, and in which
light, background and picture quality change.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import pytest

from tests.gallery import Picture, gallery_page, tiles
from worker.contract.messages import Chunk, ChunkHead, FrameStamp
from worker.folding.participants import IdentifiedSighting, TrackerState, advance
from worker.job import perception
from worker.perception.perception import Perception

SIZE = (1280, 720)
PEOPLE_BY_FRAME = [
    *[[0, 1, 2]] * 4,
    *[[2, 1, 0]] * 4,  # two change tiles
    *[[2, 0]] * 4,  # one leaves, the tiles are laid out anew
    *[[2, 3, 0, 1]] * 4,  # the one that left comes back beside a new one, in a grid of other tiles
    *[[3, 2, 1, 0]] * 4,  # all in other tiles
]


def _lit(gain: float = 1.0, gamma: float = 1.0, blue: float = 1.0, red: float = 1.0) -> Callable[[Picture], Picture]:
    def changed(tile: Picture) -> Picture:
        light = gain * np.array([blue, 1, red]) * 255 * (tile / 255.0) ** gamma
        return np.asarray(np.clip(light, 0, 255), np.uint8)

    return changed


def _other_wall(tile: Picture) -> Picture:
    changed = tile.copy()
    changed[(tile == tile[0, 0]).all(axis=2)] = (30, 200, 240)
    return changed


def _poor(tile: Picture) -> Picture:
    height, width = tile.shape[:2]
    small = cv2.resize(tile, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height)), np.uint8)


CHANGES = {
    "brighter": _lit(gain=1.7),
    "darker": _lit(gain=0.45),
    "less contrast": _lit(gamma=0.6),
    "more contrast": _lit(gamma=1.7),
    "warm light": _lit(blue=0.7, red=1.3),
    "cold light": _lit(blue=1.3, red=0.7),
    "another wall": _other_wall,
    "poor quality": _poor,
}


def _observed(observer: Perception, pages: Sequence[Picture], fps: float) -> Iterator[IdentifiedSighting]:
    state = TrackerState()
    for first in range(0, len(pages), 10):
        chosen = pages[first : first + 10]
        stamps = [FrameStamp(first + n, (first + n) / fps) for n in range(len(chosen))]
        jpegs = [cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes() for page in chosen]
        for observed in observer.observe(Chunk(ChunkHead(stamps, *SIZE), jpegs)).frames:
            state, more = advance(state, observed)
            yield from more


@pytest.mark.parametrize("change", CHANGES)
def test_a_person_whose_tile_changes_for_a_while_keeps_the_id(change: str) -> None:
    fps, pages = 0.5, []
    for n in range(10):
        page = gallery_page([0, 1, 2], n / fps, SIZE)
        if 3 <= n < 7:
            x, y, w, h = tiles(3, *SIZE)[1]
            page[y : y + h, x : x + w] = CHANGES[change](page[y : y + h, x : x + w])
        pages.append(page)
    sightings = list(_observed(perception(), pages, fps))
    assert len(sightings) == 3 * 10
    for number, tile in enumerate(tiles(3, *SIZE), 1):
        assert {one.participant for one in sightings if tile.holds(one.sighting.face.box)} == {f"p{number:02d}"}


def test_every_person_is_sighted_in_every_frame_and_keeps_one_id_and_no_two_share_one() -> None:
    pages = [gallery_page(people, n / 2, SIZE) for n, people in enumerate(PEOPLE_BY_FRAME)]
    sightings = list(_observed(perception(), pages, fps=2))
    assert len(sightings) == sum(map(len, PEOPLE_BY_FRAME))
    ids: dict[int, set[str]] = defaultdict(set)
    for one in sightings:
        people = PEOPLE_BY_FRAME[one.sighting.frame]
        (person,) = [
            person
            for person, tile in zip(people, tiles(len(people), *SIZE), strict=True)
            if tile.holds(one.sighting.face.box)
        ]
        ids[person].add(one.participant)
    assert {person: len(names) for person, names in ids.items()} == dict.fromkeys(range(4), 1)
    assert len(set.union(*ids.values())) == 4
