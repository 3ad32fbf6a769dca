"""Who is who: a pure function from (state, what was seen in a frame) to (state, what is known of whom).

No Redis, no clock, no pixels. A participant is a place where a face keeps being seen: faces are assigned to known
participants by where they are and how large they are, one to one, at the least cost over the whole frame.
"""

import math

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from scipy.optimize import linear_sum_assignment

from worker.observations import FaceSeen, FrameSeen, Reading

# A face belongs to a participant if its middle is at most this many face widths away from where that one was last seen.
# In a gallery the next face is one and a half widths away or more; a speaker moves less between two frames.
REACH = 1.0
# ... and if it is at most this many times as large or as small.
GROWTH = 1.8

# A face that BlazeFace is this sure of is somebody at once; any other has to be seen SIGHTINGS times within PATIENCE_S.
# Until then its sightings wait in the state, and are told when it has become somebody, or never.
SURE = 0.85
SIGHTINGS = 3
PATIENCE_S = 5.0

# Somebody not seen for this long is forgotten; whoever is seen there afterwards is somebody else.
MEMORY_S = 600.0

# Scores are smoothed over time with this time constant.
SMOOTHING_S = 1.0


class Track(Struct, frozen=True):
    """Somebody, or something that may become somebody (`name` empty, sightings `waiting`)."""

    name: str
    box: tuple[float, float, float, float]
    t: float
    smoothed: Reading
    waiting: list["Sighting"] = []


class Sighting(Struct, frozen=True, array_like=True):
    """A face in a frame, with its scores smoothed over time."""

    frame: int
    t: float
    face: FaceSeen
    smoothed: Reading


class Roster(Struct, frozen=True):
    """The state: who was seen where. `only` names the one participant of a recording of one person."""

    tracks: list[Track] = []
    named: int = 0
    only: str | None = None


class Told(Struct, frozen=True):
    """A sighting of a named participant."""

    participant: str
    sighting: Sighting


def advance(roster: Roster, seen: FrameSeen) -> tuple[Roster, list[Told]]:
    """Fold one frame in: the new roster, and the sightings to tell, oldest first for each participant.

    A sighting from an earlier frame is told late if its face took a while to become somebody.
    """
    faces = seen.faces
    if roster.only is not None:
        faces = sorted(faces, key=lambda face: face.box[2] * face.box[3])[-1:]  # the largest: who sits at the camera
    tracks = [track for track in roster.tracks if _still_known(track, seen.stamp.t)]
    named = roster.named
    told: list[Told] = []
    for face, known in zip(faces, _assigned(tracks, faces, anywhere=roster.only is not None), strict=True):
        track = _seen(None if known is None else tracks[known], face, seen)
        if not track.name and (roster.only or _is_somebody(track)):
            named += 1
            track = Track(roster.only or f"p{named:02d}", track.box, track.t, track.smoothed, track.waiting)
        if track.name:
            told += [Told(track.name, sighting) for sighting in track.waiting]
            track = Track(track.name, track.box, track.t, track.smoothed)
        if known is None:
            tracks.append(track)
        else:
            tracks[known] = track
    told.sort(key=lambda one: (one.sighting.frame, one.participant))
    return Roster(tracks, named, roster.only), told


def _still_known(track: Track, now: float) -> bool:
    return now - track.t <= (MEMORY_S if track.name else PATIENCE_S)


def _is_somebody(track: Track) -> bool:
    return len(track.waiting) >= SIGHTINGS or any(sighting.face.detection >= SURE for sighting in track.waiting)


def _seen(track: Track | None, face: FaceSeen, seen: FrameSeen) -> Track:
    """The track after this sighting, which waits at its end to be told."""
    smoothed = face.scores
    if track is not None:
        weight = 1 - math.exp(-(seen.stamp.t - track.t) / SMOOTHING_S)
        smoothed = _mixed(track.smoothed, face.scores, weight)
    sighting = Sighting(seen.stamp.frame, seen.stamp.t, face, smoothed)
    waiting = [] if track is None else track.waiting
    return Track("" if track is None else track.name, face.box, seen.stamp.t, smoothed, [*waiting, sighting])


def _mixed(before: Reading, now: Reading, weight: float) -> Reading:
    a, b, c, d, e, f, g = ((1 - weight) * old + weight * new for old, new in zip(before, now, strict=True))
    return a, b, c, d, e, f, g


def _assigned(tracks: list[Track], faces: list[FaceSeen], anywhere: bool) -> list[int | None]:
    """For every face the index of its track, or None for a face that is new."""
    cost = _costs(tracks, faces)
    possible = np.ones_like(cost, bool) if anywhere else np.isfinite(cost)
    # An impossible pair costs more than all possible ones together: it is chosen only where nothing else is left.
    padded = np.where(np.isfinite(cost), cost, 1e3 * (1 + cost.size))
    chosen: list[int | None] = [None] * len(faces)
    for row, column in zip(*linear_sum_assignment(padded), strict=True):
        if possible[row, column]:
            chosen[row] = int(column)
    return chosen


def _costs(tracks: list[Track], faces: list[FaceSeen]) -> npt.NDArray[np.float64]:
    """How far each face is from each track [faces, tracks], in face widths and factors of size; inf out of reach."""
    there = np.asarray([track.box for track in tracks], float).reshape(1, -1, 4)
    here = np.asarray([face.box for face in faces], float).reshape(-1, 1, 4)
    width = np.maximum((there[..., 2] + here[..., 2]) / 2, 1e-6)
    apart = (
        np.hypot(*np.moveaxis(there[..., :2] + there[..., 2:] / 2 - here[..., :2] - here[..., 2:] / 2, -1, 0)) / width
    )
    growth = np.abs(np.log(np.maximum(here[..., 2], 1e-6) / np.maximum(there[..., 2], 1e-6)))
    return np.where((apart <= REACH) & (growth <= math.log(GROWTH)), apart + growth, np.inf)
