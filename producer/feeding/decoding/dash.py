"""A finished DASH manifest (ISO/IEC 23009-1) as the HLS playlist of one of its renditions.

FFmpeg in PyAV's wheels has no DASH demuxer. The segments are those of HLS, so its HLS demuxer reads them.
"""

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree  # nosec B405

from producer.feeding.decoding.choosing import Choice, Video, choose
from producer.feeding.decoding.container import Unreadable
from worker.contract.limits import MAX_RECORDING_S

# A day in segments of half a second.
MAX_SEGMENTS = 200_000

_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?")
_DURATION_S = (365 * 86400, 30 * 86400, 86400, 3600, 60, 1)
_VARIABLE = re.compile(r"\$(RepresentationID|Bandwidth|Number|Time|)(?:%0(\d+)d)?\$")


class Node(NamedTuple):
    """An element with its ancestors, from the manifest down. Attributes and segments are inherited (5.3.9.1)."""

    path: tuple[ElementTree.Element, ...]

    def under(self, name: str) -> "list[Node]":
        return [Node((*self.path, child)) for child in self.path[-1].findall(f"{{*}}{name}")]

    def get(self, name: str, default: str = "") -> str:
        """The attribute of the nearest element that has it."""
        return next((each.attrib[name] for each in reversed(self.path) if name in each.attrib), default)

    def inherited(self, name: str) -> ElementTree.Element | None:
        """The child with this name, with what it inherits from those of the ancestors."""
        found = [child for each in self.path for child in each.findall(f"{{*}}{name}")]
        if not found:
            return None
        merged = ElementTree.Element(name)
        children: dict[str, list[ElementTree.Element]] = {}
        for child in found:
            merged.attrib.update(child.attrib)
            tags = {each.tag for each in child}
            children |= {tag: child.findall(tag) for tag in tags}
        for same in children.values():
            merged.extend(same)
        return merged


class Segment(NamedTuple):
    """A part of the video: its URL, the range of its bytes (`first-last`; empty: the whole file), and its seconds."""

    url: str
    bytes: str
    seconds: float


class Playlist(NamedTuple):
    """An HLS playlist, and the choice of its video. `file` is the URL of all segments, if they are in one file."""

    text: bytes
    choice: Choice
    file: str | None


def as_playlist(manifest: bytes, url: str, wanted: str | None, longest_side: int) -> Playlist:
    """The playlist of the rendition that `choosing.choose` chooses. `url` is the address of the manifest.

    Raises Unreadable if the manifest is live, has several periods or is not well formed, or all its videos are
    encrypted.
    """
    try:
        if b"<!DOCTYPE" in manifest:  # attacks by XML need one, manifests do not
            raise ValueError("it has a DOCTYPE")
        root = ElementTree.fromstring(manifest)  # nosec B314
        if root.get("type", "static") == "dynamic":
            raise Unreadable("is a live DASH stream, which cannot be read; give its HLS address (.m3u8)")
        return _playlist(Node((root,)), url, wanted, longest_side)
    except KeyError as lacking:
        raise Unreadable(f"is a DASH manifest that lacks {lacking}; check whether a player shows it") from None
    except (ElementTree.ParseError, LookupError, ValueError, ArithmeticError) as wrong:
        raise Unreadable(f"is a DASH manifest with an error ({wrong}); check whether a player shows it") from None


def _playlist(root: Node, url: str, wanted: str | None, longest_side: int) -> Playlist:
    periods = [(period, seconds, _renditions(period)) for period, seconds in _periods(root)]
    with_video = [period for period in periods if period[2]]
    if not with_video:
        protected = root.path[0].find(".//{*}ContentProtection") is not None
        raise Unreadable(
            "is a DASH manifest of encrypted videos; give a recording without copy protection"
            if protected
            else "is a DASH manifest without a video; check whether a player shows it"
        )
    if len(with_video) > 1:  # each has its own clock and its own parameters of the codec
        raise Unreadable(f"is a DASH manifest of {len(with_video)} periods; give its HLS address, or one period")
    [(_, seconds, renditions)] = with_video
    choice = choose([_video(node) for node in renditions], wanted, longest_side)
    initialization, segments = _segments(renditions[choice.place], url, seconds)
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:10", "#EXT-X-PLAYLIST-TYPE:VOD"]
    files: set[str] = set()
    if initialization is not None:
        files.add(initialization.url)
        lines.append(f'#EXT-X-MAP:URI="{initialization.url}"{_range(initialization, ",BYTERANGE=", quoted=True)}')
    for number, segment in enumerate(segments):
        if number == MAX_SEGMENTS:
            raise Unreadable(f"is a DASH manifest with more than {MAX_SEGMENTS} segments; cut it into parts")
        lines += [f"#EXTINF:{segment.seconds:.6f},", *_range(segment, "#EXT-X-BYTERANGE:").split(), segment.url]
        files.add(segment.url)
    if lines[-1].startswith("#"):
        raise ValueError("it names no segment")
    text = "\n".join([*lines, "#EXT-X-ENDLIST", ""])
    return Playlist(text.encode(), choice, files.pop() if len(files) == 1 else None)


def _periods(root: Node) -> Iterator[tuple[Node, float]]:
    """The periods with their seconds; infinite for the last one if its end is not declared."""
    periods = root.under("Period")
    starts: list[float] = []
    end = 0.0
    for period in periods:
        start = _duration(period.path[-1].get("start"), end)
        starts.append(start)
        end = start + _duration(period.path[-1].get("duration"), math.inf)
    starts.append(_duration(root.get("mediaPresentationDuration"), end))
    for period, (start, following) in zip(periods, pairwise(starts), strict=True):
        yield period, _duration(period.path[-1].get("duration"), following - start)


def _renditions(period: Node) -> list[Node]:
    """The renditions of videos that can be played: no thumbnails, no pictures for fast forward, not encrypted."""
    return [
        node
        for adaptation in period.under("AdaptationSet")
        if not any(
            word in each.get("schemeIdUri", "")
            for each in adaptation.path[-1].findall("{*}EssentialProperty")
            for word in ("trickmode", "thumbnail")
        )
        for node in adaptation.under("Representation")
        if "video" in (node.get("mimeType") + node.get("contentType"))
        and not any(each.find("{*}ContentProtection") is not None for each in node.path)
    ]


def _video(rendition: Node) -> Video:
    adaptation = rendition.path[-2]
    label, role = adaptation.findtext("{*}Label", ""), adaptation.find("{*}Role")
    value = "main" if role is None else role.get("value", "main")
    numerator, _, denominator = rendition.get("frameRate", "0").partition("/")
    return Video(
        width=int(rendition.get("width", "0")),
        height=int(rendition.get("height", "0")),
        bit_rate=int(rendition.get("bandwidth", "0")),
        rate=float(numerator) / float(denominator or 1),
        language=adaptation.get("lang", ""),
        title=label.strip() or ("" if value == "main" else value),
        rank=(value == "main",),
    )


def _segments(rendition: Node, url: str, seconds: float) -> tuple[Segment | None, Iterator[Segment]]:
    """The initialization of a rendition, if it has its own, and its segments. `seconds` are those of the period."""
    for element in rendition.path:
        url = urljoin(url, "".join((element.findtext("{*}BaseURL") or "").split()))
    template, listed = rendition.inherited("SegmentTemplate"), rendition.inherited("SegmentList")
    if template is not None:
        start = template.get("initialization")
        first = None if start is None else _segment(url, _filled(start, rendition))
        return first, (
            _segment(url, _filled(template.attrib["media"], rendition, number, time), seconds=length)
            for number, time, length in _times(template, seconds)
        )
    if listed is not None:
        begin = listed.find("{*}Initialization")
        first = None if begin is None else _segment(url, begin.get("sourceURL", ""), begin.get("range", ""))
        parts = listed.findall("{*}SegmentURL")
        return first, (
            _segment(url, part.get("media", ""), part.get("mediaRange", ""), length)
            for part, (_, _, length) in zip(parts, _times(listed, seconds, len(parts)), strict=False)
        )
    return None, iter([_segment(url, "", seconds=min(seconds, MAX_RECORDING_S))])


def _times(template: ElementTree.Element, seconds: float, count: int | None = None) -> Iterator[tuple[int, int, float]]:
    """Number, start in units of the timescale, and seconds of each segment. `count` is given if they are listed."""
    scale = int(template.get("timescale", "1"))
    number = int(template.get("startNumber", "1"))
    timeline = template.find("{*}SegmentTimeline")
    if timeline is None:
        length = int(template.get("duration", "0")) or (math.inf if count is None else seconds * scale / count)
        if count is None:
            last = template.get("endNumber")
            count = math.ceil(seconds * scale / length - 0.001) if last is None else int(last) - number + 1
        for index in range(count):
            yield number + index, round(index * length), min(length / scale, MAX_RECORDING_S)
        return
    steps = timeline.findall("{*}S")
    time = 0
    end = int(template.get("presentationTimeOffset", "0")) + seconds * scale
    for step, following in pairwise([*steps, None]):
        assert step is not None
        time, length = int(step.get("t", time)), int(step.attrib["d"])
        until = end if following is None or "t" not in following.attrib else int(following.attrib["t"])
        repeats = int(step.get("r", "0"))
        for _ in range(1 + (repeats if repeats >= 0 else math.ceil((until - time) / length) - 1)):
            yield number, time, length / scale
            number, time = number + 1, time + length


def _segment(base: str, url: str, byte_range: str = "", seconds: float = 0.0) -> Segment:
    joined = "".join(urljoin(base, url).split()).replace('"', "%22")
    scheme = urlsplit(joined).scheme
    if scheme not in ("http", "https"):
        raise ValueError(f"it names a {scheme}: address")
    return Segment(joined, byte_range, seconds)


def _range(segment: Segment, prefix: str, quoted: bool = False) -> str:
    """The range of bytes as HLS writes it (length@first) after `prefix`; empty for a whole file."""
    if not segment.bytes:
        return ""
    first, last = map(int, segment.bytes.split("-"))
    quote = '"' if quoted else ""
    return f"{prefix}{quote}{last - first + 1}@{first}{quote}"


def _filled(template: str, rendition: Node, number: int = 0, time: int = 0) -> str:
    """A template with its variables (5.3.9.4.4)."""
    values = {"": "$", "RepresentationID": rendition.get("id"), "Bandwidth": int(rendition.get("bandwidth", "0"))}
    values |= {"Number": number, "Time": time}

    def value(variable: "re.Match[str]") -> str:
        return str(values[variable[1]]).zfill(min(int(variable[2] or 0), 20))

    return _VARIABLE.sub(value, template)


def _duration(text: str | None, default: float) -> float:
    """Seconds of an ISO 8601 duration such as PT1H2M3.5S."""
    if not text:
        return default
    parts = _DURATION.fullmatch(text)
    if parts is None:
        raise ValueError(f"{text!r} is not a duration")
    return sum(float(part) * unit for part, unit in zip(parts.groups(), _DURATION_S, strict=True) if part)
