"""Who is who: a pure function from (state, what was seen in a frame) to (state, what is known of whom).

No Redis, no clock, no pixels. Faces are assigned to known participants by what they look like and by where they were
last seen, one to one, at the least cost over the whole frame: whoever changes tiles is followed by looks, whoever
changes expression, light or posture by place.
"""

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace
from scipy.optimize import linear_sum_assignment

from worker.appearance import mixed, unlike
from worker.contract.limits import PARTICIPANTS
from worker.observations import FaceSeen, FrameSeen, Reading
from worker.smoothing import smoothed_scores

# What it costs to take a face for a participant. Looks count by how unlike they are: 1 for UNLIKE, which is more than
# one person differs from one glance to the next (median 2.9, 95 % below 6 without regard to what was remembered) and
# less than two people do (median 9). Place counts ELSEWHERE at most, for a face a whole width away or more.
UNLIKE = 5.0
ELSEWHERE = 0.4

# A face that costs more than this is somebody new: nine tenths of it, at another place, unlike by 7.
NEW = 1.8

# Where somebody was last seen matters less the longer ago it is: this is the time constant.
PLACE_FADES_S = 60.0

# How many looks of one person are remembered, and from how unlike on one is remembered beside the others
# instead of mixed into the nearest one (of which it then makes up LOOK_MIXES).
LOOKS = 4
ANOTHER_LOOK = 3.5
LOOK_MIXES = 0.1

# A face that BlazeFace is this sure of is somebody at once; any other has to be seen SIGHTINGS times within PATIENCE_S.
# Until then its sightings wait in the state, and are told when it has become somebody, or never.
SURE = 0.85
SIGHTINGS = 3
PATIENCE_S = 5.0

# No more participants than this are remembered; who has not been seen for longest is forgotten first.
MOST = 250


class Track(Struct, frozen=True):
    """Somebody, or something that may become somebody (`name` empty, sightings `waiting`)."""

    name: str
    box: tuple[float, float, float, float]
    t: float
    smoothed: Reading
    looks: list[bytes]
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
    tracks = [track for track in roster.tracks if track.name or seen.stamp.t - track.t <= PATIENCE_S]
    named = roster.named
    told: list[Told] = []
    known = [0] * len(faces) if roster.only is not None and tracks else _assigned(tracks, faces, seen.stamp.t)
    for face, index in zip(faces, known, strict=True):
        track = _seen(None if index is None else tracks[index], face, seen)
        if not track.name and (roster.only or _is_somebody(track)):
            if named < PARTICIPANTS:
                named += 1
                track = replace(track, name=roster.only or f"p{named:02d}")
            else:
                track = replace(track, waiting=[])  # one too many: will never be told
        if track.name:
            told += [Told(track.name, sighting) for sighting in track.waiting]
            track = replace(track, waiting=[])
        if index is None:
            tracks.append(track)
        else:
            tracks[index] = track
    told.sort(key=lambda one: (one.sighting.frame, one.participant))
    if len(tracks) > MOST:
        tracks = sorted(tracks, key=lambda track: track.t)[-MOST:]
    return Roster(tracks, named, roster.only), told


def _is_somebody(track: Track) -> bool:
    return len(track.waiting) >= SIGHTINGS or any(sighting.face.detection >= SURE for sighting in track.waiting)


def _seen(track: Track | None, face: FaceSeen, seen: FrameSeen) -> Track:
    """The track after this sighting, which waits at its end to be told."""
    t = seen.stamp.t
    if track is None:
        sighting = Sighting(seen.stamp.frame, t, face, face.scores)
        return Track("", face.box, t, face.scores, [face.look], [sighting])
    smoothed = smoothed_scores(track.smoothed, face, t - track.t)
    sighting = Sighting(seen.stamp.frame, t, face, smoothed)
    return Track(track.name, face.box, t, smoothed, _remembered(track.looks, face.look), [*track.waiting, sighting])


def _remembered(looks: list[bytes], look: bytes) -> list[bytes]:
    differences = unlike([look], looks)[0]
    nearest = int(differences.argmin())
    if differences[nearest] > ANOTHER_LOOK:
        return [*looks, look][-LOOKS:]
    return [*looks[:nearest], mixed(looks[nearest], look, LOOK_MIXES), *looks[nearest + 1 :]]


def _assigned(tracks: list[Track], faces: list[FaceSeen], now: float) -> list[int | None]:
    """For every face the index of its track, or None for a face that is new."""
    cost = _costs(tracks, faces, now)
    new = np.full((len(faces), len(faces)), NEW)
    chosen: list[int | None] = [None] * len(faces)
    for row, column in zip(*linear_sum_assignment(np.hstack([cost, new])), strict=True):
        if column < len(tracks) and cost[row, column] < NEW:
            chosen[row] = int(column)
    return chosen


def _costs(tracks: list[Track], faces: list[FaceSeen], now: float) -> npt.NDArray[np.float64]:
    """What it costs to take each face for each track, [faces, tracks]."""
    if not tracks or not faces:
        return np.empty((len(faces), len(tracks)))
    there = np.asarray([track.box for track in tracks], float)[np.newaxis]
    here = np.asarray([face.box for face in faces], float)[:, np.newaxis]
    width = np.maximum((there[..., 2] + here[..., 2]) / 2, 1e-6)
    middles = there[..., :2] + there[..., 2:] / 2 - here[..., :2] - here[..., 2:] / 2
    apart = np.hypot(middles[..., 0], middles[..., 1]) / width
    growth = np.abs(np.log(np.maximum(here[..., 2], 1e-6) / np.maximum(there[..., 2], 1e-6)))
    fresh = np.exp(-(now - np.asarray([track.t for track in tracks])) / PLACE_FADES_S)
    moved = fresh * np.minimum(apart + growth, 1) + (1 - fresh) / 2
    starts = np.cumsum([0, *(len(track.looks) for track in tracks[:-1])])
    differences = unlike([face.look for face in faces], [look for track in tracks for look in track.looks])
    return np.asarray(ELSEWHERE * moved + np.minimum.reduceat(differences, starts, axis=1) / UNLIKE)
