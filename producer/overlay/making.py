"""Draws what a lecture in Redis has about each face over its recording."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from producer.feeding.decoding.choosing import choose_in
from producer.feeding.decoding.container import Unreadable, open_file, video_in
from producer.feeding.decoding.jpeg import LONGEST_SIDE
from producer.feeding.decoding.sampling import MAX_FPS
from producer.feeding.decoding.wire import FileTarget
from producer.feeding.sources.address import SourceError, address_of
from producer.feeding.sources.opening import open_source
from producer.feeding.sources.recording import Recording
from producer.overlay.drawing import Picture, draw
from producer.overlay.film import FORMATS, Film
from producer.overlay.sightings import Sightings
from producer.presentation.clock import clock
from producer.reading.analysis.boxes import MAX_SHAPE_DIFFERENCE, several_recordings, slack_s
from producer.reading.analysis.names import Roster
from producer.reading.follow import replay
from producer.reading.lectures import Lecture, Store, read_lecture
from producer.reading.output_file import ExportRefused, check_absent, complete_or_absent
from producer.reading.roster import names_in

USUAL_FPS = Fraction(25)
_VIDEO = re.compile(r" \(video (\d+)\)$")


class Made(NamedTuple):
    """What is missing in a film: the end of the recording, in one line, and the codec of sound that was left out."""

    shortfall: str | None
    sound_lost: str | None


def check_film_path(path: Path) -> None:
    """ExportRefused if a film at `path` is not possible."""
    if path.suffix not in FORMATS:
        raise ExportRefused(f"cannot write a film to {str(path)!r}: the name must end in .mp4 or .mkv")
    check_absent(path)


def overlay(
    store: Store,
    video: str,
    lecture: str,
    path: Path,
    roster: Roster | None = None,
    advance: Callable[[float, float], None] = lambda done, whole: None,
) -> Made:
    """Write the recording `video` to `path`, with the boxes, ids (or names) and expressions of `lecture`.

    `advance` is called with the seconds that are done, and the length of the recording. The film is written as a whole
    or not at all. Raises ExportRefused if the lecture has nothing to draw, `video` does not fit it, or `path` cannot be
    written; SourceError if `video` cannot be read; LectureUnknown and RosterRefused.
    """
    check_film_path(path)
    found = read_lecture(store, lecture)
    sightings = _sightings(store, found, roster)
    number = _VIDEO.search(found.info.source)
    address = address_of(video, number and number[1])
    if not isinstance(address.target, FileTarget):
        raise ExportRefused(f"{address.shown}: is no file; give the recording as a file")
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(video).open("rb"))
            sound, _ = choose_in(open_file(file), address.target.video, LONGEST_SIDE)
            fps = _fps(sound)
        except Unreadable as why:
            raise SourceError(f"{address.shown}: {why}") from None
        recording = stack.enter_context(open_source(video, float(fps), video=address.target.video))
        assert isinstance(recording, Recording), "a file is no live source"
        _check_fit(recording, found, sightings, float(fps))
        whole = max(sightings.last, (recording.expected or 0) / float(fps))
        output = stack.enter_context(complete_or_absent(path))
        film: Film | None = None
        size = (found.info.width, found.info.height)
        for tick, picture in _pictures(recording):
            if film is None:
                shape = picture.shape[1] - picture.shape[1] % 2, picture.shape[0] - picture.shape[0] % 2
                film = stack.enter_context(Film(output, FORMATS[path.suffix], shape, fps, sound))
            drawn = np.array(picture if picture.shape[1::-1] == shape else cv2.resize(picture, shape), np.uint8)
            draw(drawn, sightings.at(tick / float(fps)), size)
            film.add(drawn, tick)
            advance(tick / float(fps), whole)
        if film is None:
            raise SourceError(f"{address.shown}: {recording.shortfall or 'no picture came'}")
        return Made(recording.shortfall, film.sound_lost)


def _sightings(store: Store, lecture: Lecture, roster: Roster | None) -> Sightings:
    names = names_in(store, lecture.id, roster) if roster is not None else None
    if lecture.info.class_only:
        raise ExportRefused(
            f"lecture {lecture.id} was ingested with --class-only: nothing is known per person, so nothing can be drawn"
        )
    sightings = Sightings(replay(store, lecture.id), names, lecture.info.fps)
    if not sightings.participants:
        raise ExportRefused(f"in lecture {lecture.id} nobody was seen, so there is nothing to draw")
    if several_recordings(lecture.info.source, sightings.participants):
        raise ExportRefused(
            f"lecture {lecture.id} was made of several recordings ({lecture.info.source}); a film of one recording "
            "needs a lecture of this one: `producer ingest` it alone"
        )
    return sightings


def _fps(container: av.container.InputContainer) -> Fraction:
    """The pictures per second of the video in a container, within what can be sampled."""
    rate = Fraction(video_in(container).average_rate or USUAL_FPS)
    return min(max(rate, Fraction(1)), Fraction(round(MAX_FPS))).limit_denominator(1001)


def _check_fit(recording: Recording, lecture: Lecture, sightings: Sightings, fps: float) -> None:
    info, shown = lecture.info, recording.label.shown
    advice = f"give the recording that was ingested ({info.source})"
    ratio = (recording.width / recording.height) / (info.width / info.height)
    if abs(ratio - 1) > MAX_SHAPE_DIFFERENCE:
        sizes = f"{recording.width}x{recording.height} pixels, that of lecture {lecture.id} {info.width}x{info.height}"
        raise ExportRefused(f"{shown}: its picture has {sizes}; {advice}")
    if recording.expected is None:
        return
    length, ends = (recording.first_tick + recording.expected) / fps, sightings.last + 1 / info.fps
    slack = slack_s(info.fps)
    if info.expected is not None and abs(length - (info.begin or 0.0) - info.expected / info.fps) <= slack:
        return  # it declares what the ingested one declared; the events end elsewhere if the file's clock restarts
    if length < ends - slack or (info.status == "done" and info.end is None and length > ends + slack):
        raise ExportRefused(
            f"{shown}: is {clock(length)} long, but the events of lecture {lecture.id} end at {clock(ends)}; {advice}"
        )


def _pictures(recording: Recording) -> Iterator[tuple[int, Picture]]:
    """The number of each picture, counted from the start of the file, and its pixels [height, width, 3], BGR."""
    jpeg, pixels = b"", np.zeros((0, 0, 3), np.uint8)
    for sample in recording.samples(threading.Event(), 0):
        if sample.picture is not jpeg:
            jpeg = sample.picture
            pixels = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
        yield sample.tick, pixels
