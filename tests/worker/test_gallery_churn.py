"""From pixels to participants: a gallery of real faces in which people leave, join and change tiles."""

from collections import defaultdict
from collections.abc import Iterator

import cv2

from tests.gallery import gallery_page, tiles
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


def _sightings(observer: Perception) -> Iterator[IdentifiedSighting]:
    state = TrackerState()
    for first in range(0, len(PEOPLE_BY_FRAME), 10):
        stamps = [FrameStamp(n, n / 2) for n in range(first, first + 10)]
        pages = [gallery_page(PEOPLE_BY_FRAME[stamp.frame], stamp.t, SIZE) for stamp in stamps]
        jpegs = [cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes() for page in pages]
        for observed in observer.observe(Chunk(ChunkHead(stamps, *SIZE), jpegs)).frames:
            state, more = advance(state, observed)
            yield from more


def test_every_person_is_sighted_in_every_frame_and_keeps_one_id_and_no_two_share_one() -> None:
    sightings = list(_sightings(perception()))
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
