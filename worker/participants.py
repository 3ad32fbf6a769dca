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

# What it costs to take a face for a participant: how unlike they look, by UNLIKE, and how far away it is, ELSEWHERE for
# a whole width or more.
UNLIKE = 5.0
ELSEWHERE = 0.2

# How unlike a participant may look and still be the same. In rendered galleries people are unlike what is remembered
# of them by 1.1 (median), and others by 6.7 (0.1 % below 2.2). Who comes back after a while has to look alike. Who was
# seen a moment ago at another place may look more unlike: people trade tiles, and are seldom replaced, in a moment.
# Where they were a moment ago: in light that changes, behind a hand, by more still; somebody else who is shown there
# instead, as recordings of whoever speaks do, is unlike by more than that in 6 of 10 cases. Chosen on 50 galleries of
# 1 to 16 people that leave, come back, join, cover their faces and are laid out anew (November 2026).
SAME_ELSEWHERE = 2.25
SAME_MOVED = 5.0
SAME_HERE = 6.0
HERE_FADES_S = 3.0

# Who looks different all the time, such as a lecturer who walks before a wall full of things, may come back as
# different as that: this many times as unlike as each sighting was what was remembered then (a mean over the last ones,
# in which each makes up RESTLESS_MIXES), up to SAME_MOVED. It leaves those 50 galleries as they are; 3.0 takes more
# newcomers for who is missing. Four made lecturers, before a wall of patches and often turned away, had 4, 12, 9 and 5
# ids in five minutes without it, and have 4, 5, 5 and 4.
RESTLESS = 2.5
RESTLESS_MIXES = 0.1

# Up to so unlike it may still turn out to be who is missing: somebody new has to be seen longer first.
IN_DOUBT = 7.0

# What it costs more to take a face for somebody who has no name yet: rather a known participant in another light.
NAMELESS = 1.0

# Where somebody was last seen matters less the longer ago it is: this is the time constant.
PLACE_FADES_S = 60.0

# How many looks of one person are remembered, and from how unlike on one is remembered beside the others
# instead of mixed into the nearest one (of which it then makes up LOOK_MIXES).
LOOKS = 4
ANOTHER_LOOK = 1.5
LOOK_MIXES = 0.1

# A face that BlazeFace is this sure of is somebody at once, unless it might be who is missing; any other has to be seen
# SIGHTINGS times within PATIENCE_S. Until then its sightings wait in the state, and are told when it has become
# somebody, or never.
SURE = 0.85
SIGHTINGS = 3
PATIENCE_S = 5.0

# No more participants than this are remembered; who has not been seen for longest is forgotten first.
MOST = 250


class Track(Struct, frozen=True):
    """Somebody, or something that may become somebody (`name` empty, sightings `waiting`).

    `doubtful`: when it was first seen, it might have been somebody who was missing. `restless`: how unlike what is
    remembered it is from sighting to sighting.
    """

    name: str
    box: tuple[float, float, float, float]
    t: float
    smoothed: Reading
    looks: list[bytes]
    waiting: list["Sighting"] = []
    doubtful: bool = False
    restless: float = 0.0


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
    known, doubts = _assigned(tracks, faces, seen.stamp.t)
    if roster.only is not None and tracks:
        known = [0] * len(faces)
    for face, index, doubtful in zip(faces, known, doubts, strict=True):
        track = _seen(tracks[index], face, seen) if index is not None else _first_seen(face, seen, doubtful)
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
    sure = any(sighting.face.detection >= SURE for sighting in track.waiting)
    return len(track.waiting) >= SIGHTINGS or (sure and not track.doubtful)


def _first_seen(face: FaceSeen, seen: FrameSeen, doubtful: bool) -> Track:
    sighting = Sighting(seen.stamp.frame, seen.stamp.t, face, face.scores)
    return Track("", face.box, seen.stamp.t, face.scores, [face.look], [sighting], doubtful)


def _seen(track: Track, face: FaceSeen, seen: FrameSeen) -> Track:
    """The track after this sighting, which waits at its end to be told."""
    t = seen.stamp.t
    smoothed = smoothed_scores(track.smoothed, face, t - track.t)
    sighting = Sighting(seen.stamp.frame, t, face, smoothed)
    looks, difference = _remembered(track.looks, face.look)
    restless = track.restless + RESTLESS_MIXES * (difference - track.restless)
    return Track(track.name, face.box, t, smoothed, looks, [*track.waiting, sighting], track.doubtful, restless)


def _remembered(looks: list[bytes], look: bytes) -> tuple[list[bytes], float]:
    """The looks that are remembered from now on, and how unlike them this one was."""
    differences = unlike([look], looks)[0]
    nearest = int(differences.argmin())
    difference = float(differences[nearest])
    if difference > ANOTHER_LOOK:
        return [*looks, look][-LOOKS:], difference
    return [*looks[:nearest], mixed(looks[nearest], look, LOOK_MIXES), *looks[nearest + 1 :]], difference


def _assigned(tracks: list[Track], faces: list[FaceSeen], now: float) -> tuple[list[int | None], list[bool]]:
    """For every face the index of its track, None for one that is new, and whether it might be who is missing."""
    chosen: list[int | None] = [None] * len(faces)
    if not tracks or not faces:
        return chosen, [False] * len(faces)
    unlikeness, away, gap = _apart(tracks, faces, now)
    fresh = np.exp(-gap / PLACE_FADES_S)
    named = np.asarray([bool(track.name) for track in tracks])
    cost = ELSEWHERE * (fresh * away + (1 - fresh) / 2) + unlikeness / UNLIKE + np.where(named, 0, NAMELESS)
    recently = np.exp(-gap / HERE_FADES_S)
    here = (1 - away) * recently
    later = np.clip([RESTLESS * track.restless for track in tracks], SAME_ELSEWHERE, SAME_MOVED)
    possible = unlikeness < later + (SAME_MOVED - later) * recently + (SAME_HERE - SAME_MOVED) * here
    # Rather anybody possible than somebody new, rather somebody new than anybody impossible.
    new = ELSEWHERE + SAME_HERE / UNLIKE + NAMELESS
    columns = np.hstack([np.where(possible, cost, 2 * new), np.full((len(faces), len(faces)), new)])
    for row, column in zip(*linear_sum_assignment(columns), strict=True):
        if column < len(tracks) and possible[row, column]:
            chosen[row] = int(column)
    missing = named & ~np.isin(np.arange(len(tracks)), [index for index in chosen if index is not None])
    doubts = (((unlikeness < IN_DOUBT) | (here > 0.5)) & missing).any(axis=1)
    return chosen, [bool(doubt) for doubt in doubts]


def _apart(
    tracks: list[Track], faces: list[FaceSeen], now: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """How far each face is from each track, [faces, tracks]: by looks, by place (0 to 1), and for [tracks] seconds."""
    there = np.asarray([track.box for track in tracks], float)[np.newaxis]
    here = np.asarray([face.box for face in faces], float)[:, np.newaxis]
    width = np.maximum((there[..., 2] + here[..., 2]) / 2, 1e-6)
    middles = there[..., :2] + there[..., 2:] / 2 - here[..., :2] - here[..., 2:] / 2
    apart = np.hypot(middles[..., 0], middles[..., 1]) / width
    growth = np.abs(np.log(np.maximum(here[..., 2], 1e-6) / np.maximum(there[..., 2], 1e-6)))
    starts = np.cumsum([0, *(len(track.looks) for track in tracks[:-1])])
    differences = unlike([face.look for face in faces], [look for track in tracks for look in track.looks])
    gap = now - np.asarray([track.t for track in tracks])
    return np.minimum.reduceat(differences, starts, axis=1).astype(float), np.minimum(apart + growth, 1), gap
