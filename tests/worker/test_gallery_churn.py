"""Who is who in a gallery of real faces whose people leave, join and change tiles: from pixels to participants."""

from collections import defaultdict
from collections.abc import Iterator

import cv2
import pytest

from tests.gallery import gallery_page, tiles
from worker.contract.messages import Chunk, ChunkHead, FrameStamp
from worker.folding.participants import IdentifiedSighting, TrackerState, advance
from worker.perception.manifest import MODELS
from worker.perception.perception import Perception

SIZE = (1280, 720)
SEATED = [
    *[[0, 1, 2]] * 4,
    *[[2, 1, 0]] * 4,  # two change tiles
    *[[2, 0]] * 4,  # one leaves, the tiles are laid out anew
    *[[2, 3, 0, 1]] * 4,  # who left comes back beside somebody new, in a grid of other tiles
    *[[3, 2, 1, 0]] * 4,  # everybody somewhere else
]


@pytest.fixture(scope="module")
def told() -> list[IdentifiedSighting]:
    return list(_told(Perception(MODELS)))


def _told(perception: Perception) -> Iterator[IdentifiedSighting]:
    roster = TrackerState()
    for first in range(0, len(SEATED), 10):
        stamps = [FrameStamp(n, n / 2) for n in range(first, first + 10)]
        pages = [gallery_page(SEATED[stamp.frame], stamp.t, SIZE) for stamp in stamps]
        jpegs = [cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes() for page in pages]
        for seen in perception.observe(Chunk(ChunkHead(stamps, *SIZE), jpegs)).frames:
            roster, some = advance(roster, seen)
            yield from some


def test_everybody_keeps_one_id_and_nobody_shares_one(told: list[IdentifiedSighting]) -> None:
    ids: dict[int, set[str]] = defaultdict(set)
    for one in told:
        seated = SEATED[one.sighting.frame]
        (who,) = [
            who
            for who, tile in zip(seated, tiles(len(seated), *SIZE), strict=True)
            if tile.holds(one.sighting.face.box)
        ]
        ids[who].add(one.participant)
    assert {who: len(names) for who, names in ids.items()} == dict.fromkeys(range(4), 1)
    assert len(set.union(*ids.values())) == 4


def test_everybody_is_told_of_in_every_frame_that_shows_them(told: list[IdentifiedSighting]) -> None:
    assert len(told) == sum(map(len, SEATED))
