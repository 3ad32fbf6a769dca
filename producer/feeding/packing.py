"""Frames to chunks, the unit of work of the workers."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from producer.feeding.sources.frame import SampledFrame
from worker.contract.messages import Chunk, ChunkHead, FrameStamp, PixelBox

# Bounds of a packed chunk; the contract's limits are wider. A job costs about 10 ms beside its frames, so a chunk has
# several frames. Each bound has another reason:
# - PACKED_S, media time: events are published chunk by chunk.
# - PACKED_PICTURES, work: a chunk whose worker died is processed again from its start.
# - PACKED_BYTES, one Redis command. 16 frames of 720p have about 3 MiB, of Full HD 6.
PACKED_S = 8.0
PACKED_PICTURES = 16
PACKED_BYTES = 4 * 2**20


def packed(
    frames: Iterable[SampledFrame], width: int, height: int, ignored: Sequence[PixelBox] = ()
) -> Iterator[Chunk]:
    """Consecutive frames of a source of `width` x `height` pixels as chunks, within all three bounds.

    In the regions `ignored`, faces do not count. The pictures of one frame stay together. A frame that exceeds a bound
    by itself is a chunk of its own. Reads ahead by one picture and one frame.
    """
    pending: list[SampledFrame] = []
    for _, pictures in groupby(frames, key=lambda picture: picture.frame):
        frame = list(pictures)
        if pending and not fits(frame, pending, PACKED_S):
            yield chunk_of(pending, width, height, ignored)
            pending = []
        pending += frame
    if pending:
        yield chunk_of(pending, width, height, ignored)


def chunk_of(frames: list[SampledFrame], width: int, height: int, ignored: Sequence[PixelBox] = ()) -> Chunk:
    """A chunk of these frames, at least one."""
    stamps = [FrameStamp(frame.frame, frame.t, frame.participant, frame.size, frame.damaged) for frame in frames]
    head = ChunkHead(stamps, width, height, taken=min(frame.taken for frame in frames), ignored=tuple(ignored))
    return Chunk(head, [frame.jpeg for frame in frames])


def bytes_of(frames: Iterable[SampledFrame]) -> int:
    """Bytes of all JPEGs."""
    return sum(len(frame.jpeg) for frame in frames)


def fits(frame: list[SampledFrame], chunk: list[SampledFrame], seconds: float) -> bool:
    """Whether the pictures of one more frame fit into a chunk that is shorter than `seconds`."""
    both = [*chunk, *frame]
    return len(both) <= PACKED_PICTURES and frame[0].t - chunk[0].t < seconds and bytes_of(both) <= PACKED_BYTES
