"""Choose which video of a container is read: the one that a player shows, or the one that the user asks for."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import av
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from producer.feeding.decoding.container import Unreadable, discard_all_but

# Chapter pictures, and videos that accompany another one, such as sign language. A player shows neither first.
PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
BESIDE = Disposition.hearing_impaired | Disposition.visual_impaired | Disposition.dependent

# Many containers do not declare how many pictures a video has. Then at most this many bytes of packets are read to
# find the videos with a single picture. Most lectures have two minutes in them, and a slow line takes some seconds.
PEEKED_BYTES = 16 * 2**20

# A video whose only picture is displayed for at most this many seconds is a still. A longer one may be a slide.
STILL_S = 1.0

# Names that a device or program writes into every file say nothing about the picture.
USELESS_NAMES = ("handle", "core media", "iso media")
NAME_CHARACTERS = 40
LISTED = 8


class Video(NamedTuple):
    """A video as it can be chosen: size in pixels (0 if unknown), bits and pictures per second (0 if unknown), names.

    `rank` compares it with the others in a file: a player shows the first of those with the highest rank.
    """

    width: int
    height: int
    bit_rate: int
    rate: float
    language: str = ""
    title: str = ""
    rank: tuple[bool, ...] = ()

    @property
    def names(self) -> list[str]:
        return [name for name in (self.language, self.title) if name]


class Choice(NamedTuple):
    """The chosen video: its place in the list.

    `number` is its number for the user, from 1 on; None if it is the only one or the best rendition. It is `usual` if
    it is what a player shows. `notice` is a line for the user that names all videos, if there are several and the user
    chose none.
    """

    place: int = 0
    number: int | None = None
    usual: bool = True
    notice: str | None = None


def choose(videos: Sequence[Video], wanted: str | None, longest_side: int | None = None) -> Choice:
    """Choose from at least one video the `wanted` one (number, language or title), by default what a player shows.

    `longest_side` is given for renditions: of those with the same language and title, the largest whose longer side has
    at most this many pixels is chosen. Raises Unreadable if no video or several are wanted.
    """
    usual = max(range(len(videos)), key=lambda index: videos[index].rank)
    several = len(videos) > 1
    if longest_side is not None:
        alike = [index for index, video in enumerate(videos) if video[4:6] == videos[usual][4:6]]
        usual = _best(videos, alike, longest_side)
        several = len(alike) < len(videos)
    chosen = usual if wanted is None else _wanted(videos, wanted, longest_side)
    number = chosen + 1 if several or chosen != usual else None
    notice = f"has {_listed(videos)}; video {number} is read; choose with --stream N"
    return Choice(chosen, number, chosen == usual, notice if several and wanted is None else None)


def choose_in(
    container: InputContainer,
    wanted: str | None,
    longest_side: int,
    reopened: Callable[[], InputContainer] | None = None,
) -> tuple[InputContainer, Choice]:
    """Choose the video of a container, as `choose` does, and select it for `video_in`.

    The videos of an HLS list are renditions. If the container can be `reopened`, it may be read to find videos with a
    single picture; then the result is the reopened one, and the given one is closed. Raises Unreadable.
    """
    streams = _playable(container)
    renditions = container.format.name == "hls"
    singles: Mapping[int, bool] = {}
    if reopened is not None and len(streams) > 1 and not renditions and not all(stream.frames for stream in streams):
        singles = _single_pictures(container, streams)
        container.close()
        container = reopened()
        streams = _playable(container)
    streams = [stream for stream in streams if stream.frames != 1 and not singles.get(stream.index)] or streams
    if not streams:
        return container, Choice()  # `video_in` says why
    videos = [_described(stream, stream.index in singles) for stream in streams]
    choice = choose(videos, wanted, longest_side if renditions else None)
    chosen = streams[choice.place]
    chosen.discard = Discard.none
    if renditions:
        # The sound is fetched too, because a recording lasts until its sound ends. In a file all streams are read for
        # the same reason; that costs nothing.
        discard_all_but(chosen, container.streams.best("audio", chosen))
    return container, choice


def _playable(container: InputContainer) -> list[VideoStream]:
    """The videos that can be decoded; no covers, and no other stills unless there is nothing else."""
    videos = [
        video
        for video in container.streams.video
        if video.codec_context is not None and not video.disposition & Disposition.attached_pic
    ]
    return [video for video in videos if not video.disposition & PICTURES] or videos


def _single_pictures(container: InputContainer, videos: Sequence[VideoStream]) -> dict[int, bool]:
    """The videos with at most one picture in the first PEEKED_BYTES: index -> whether it is certainly a still."""
    pictures: Counter[int] = Counter()
    read = 0
    ended = True
    try:
        for packet in container.demux(*videos):
            pictures[packet.stream.index] += packet.size > 0
            read += packet.size
            if all(pictures[video.index] > 1 for video in videos):
                return {}
            if read > PEEKED_BYTES:
                ended = False
                break
    except (av.FFmpegError, IndexError):  # damaged, or a stream appeared later: decoding will show it
        ended = False
    singles = [video for video in videos if pictures[video.index] <= 1]
    return {video.index: ended or _declared_s(video) <= STILL_S for video in singles}


def _declared_s(video: VideoStream) -> float:
    """The length that the container declares for this video, in seconds; infinite if it does not."""
    if video.duration is not None and video.time_base is not None:
        return float(video.duration * video.time_base)
    try:  # Matroska
        hours, minutes, seconds = video.metadata["DURATION"].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except (KeyError, ValueError):
        return float("inf")


def _described(stream: VideoStream, single: bool) -> Video:
    """A stream as it can be chosen. The default one ranks first, otherwise the first: so do mpv, VLC and browsers."""
    tags = {key.lower(): value.strip() for key, value in stream.metadata.items()}
    language = tags.get("language", "")
    titles = [tags.get(key, "") for key in ("title", "name", "comment", "handler_name")]
    useful = [title for title in titles if title and not any(word in title.lower() for word in USELESS_NAMES)]
    declared = tags.get("variant_bitrate", "")
    beside, default = stream.disposition & BESIDE, stream.disposition & Disposition.default
    return Video(
        width=stream.width,
        height=stream.height,
        bit_rate=int(declared) if declared.isdecimal() else stream.bit_rate or 0,
        rate=float(stream.average_rate or 0),
        language="" if language == "und" else language,
        title=useful[0] if useful else "",
        rank=(stream.width > 0, not single, not beside, bool(default)),
    )


def _best(videos: Sequence[Video], among: Sequence[int], longest_side: int) -> int:
    """The largest that fits, otherwise the smallest; of equal ones the one with the highest bit and frame rate."""
    smallest = min(max(videos[index][:2]) for index in among)
    side = max(longest_side, smallest)
    fitting = [index for index in among if max(videos[index][:2]) <= side]
    return max(fitting, key=lambda index: (max(videos[index][:2]), *videos[index][:4]))


def _wanted(videos: Sequence[Video], wanted: str, longest_side: int | None) -> int:
    for index in range(len(videos)):
        if wanted == str(index + 1):
            return index
    named = [i for i, video in enumerate(videos) if wanted.casefold() in map(str.casefold, video.names)]
    if len(named) == 1:
        return named[0]
    if named and longest_side is not None:
        return _best(videos, named, longest_side)
    problem = f"has {len(named)} videos with the name" if named else "has no video"
    advice = "choose one of them with --stream N" if len(videos) > 1 else "leave out --stream"
    raise Unreadable(f"{problem} {_plain(wanted)!r}; it has {_listed(videos)}; {advice}")


def _listed(videos: Sequence[Video]) -> str:
    """How many videos there are, and the number, size and names of each: `2 videos: 1 (640x360), 2 (480x480, eng)`."""
    shown = [
        f"{number} ({', '.join([_size(video), *map(_plain, video.names)])})"
        for number, video in enumerate(videos[:LISTED], 1)
    ]
    more = f" and {len(videos) - LISTED} more" if len(videos) > LISTED else ""
    return f"{len(videos)} video{'s' * (len(videos) > 1)}: {', '.join(shown)}{more}"


def _size(video: Video) -> str:
    return f"{video.width}x{video.height}" if video.width else "size unknown"


def _plain(name: str) -> str:
    """A name from a file, without control characters, and not too long for a line."""
    return "".join(each if each.isprintable() else "?" for each in name[:NAME_CHARACTERS])
