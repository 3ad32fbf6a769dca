"""Frames into chunks, the unit in which workers take them."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from producer.feeding.sources.frame import SampledFrame
from worker.contract.messages import Chunk, ChunkHead, FrameStamp

# A job costs about 10 ms of Redis and RQ beside its frames, so a few frames a job; but a worker that dies costs the
# whole chunk again, and events come chunk by chunk: hence a bound in media time,
CHUNK_S = 8.0
# in the work of one job (49 faces in each of 16 pictures are some 8 s of one core, see JOB_TIMEOUT_S),
CHUNK_PICTURES = 16
# and in what one Redis command carries. 16 frames of 720p are some 3 MiB, of Full HD 6.
CHUNK_BYTES = 4 * 2**20


def packed(frames: Iterable[SampledFrame], width: int, height: int) -> Iterator[Chunk]:
    """Consecutive frames of a source of `width` x `height` pixels as chunks, within all three bounds above.

    The pictures of one frame stay together; a frame beyond a bound by itself is a chunk of its own. Reads one picture
    beyond a frame, and one frame beyond a chunk.
    """
    pending: list[SampledFrame] = []
    for _, pictures in groupby(frames, key=lambda picture: picture.frame):
        frame = list(pictures)
        if pending and not _fits(frame, pending):
            yield chunk_of(pending, width, height)
            pending = []
        pending += frame
    if pending:
        yield chunk_of(pending, width, height)


def chunk_of(frames: list[SampledFrame], width: int, height: int) -> Chunk:
    """Frames, at least one, as a chunk."""
    stamps = [FrameStamp(frame.frame, frame.t, frame.participant, frame.size) for frame in frames]
    head = ChunkHead(stamps, width, height, taken=min(frame.taken for frame in frames))
    return Chunk(head, [frame.jpeg for frame in frames])


def _fits(frame: list[SampledFrame], chunk: list[SampledFrame]) -> bool:
    both = [*chunk, *frame]
    return (
        len(both) <= CHUNK_PICTURES
        and frame[0].t - chunk[0].t < CHUNK_S
        and sum(len(picture.jpeg) for picture in both) <= CHUNK_BYTES
    )
