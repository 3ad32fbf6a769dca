"""Multi-face tracking: a pure function from (tracker state, a frame's faces) to (tracker state, sightings).

Faces are matched to tracks one to one, at the lowest total cost over the frame. The cost combines appearance and place:
appearance follows a participant who changes tiles, place follows one who changes expression, light or posture.
docs/tracking.md explains each constant and has its measurements.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field
from msgspec.structs import replace
from scipy.optimize import linear_sum_assignment

from worker.contract.limits import MAX_PARTICIPANTS
from worker.folding.appearance_distance import blended, distances
from worker.folding.smoothing import smoothed_scores
from worker.outcome import FaceObservation, FrameObservation, ScoreVector

# Cost of a match: appearance distance divided by APPEARANCE_SCALE, plus up to PLACE_COST for a face that is one face
# width or more away from the track.
APPEARANCE_SCALE = 2.8
PLACE_COST = 0.2

# The largest distance of a match, of appearance and of the shape of the face: one of the two must be below its limit.
# The limits depend on where the track was last seen, and on how long before the others:
# - LATER: long before. A participant who comes back must look alike.
# - MOVED: together with others who are still shown. People change tiles, and are seldom replaced at the same moment.
# - SAME_PLACE: the same, in the same place. Light or background may have changed, or a hand covers the face.
MAX_DISTANCE_LATER, MAX_SHAPE_LATER = 2.25, 0.7
MAX_DISTANCE_MOVED, MAX_SHAPE_MOVED = 2.9, 0.8
MAX_DISTANCE_SAME_PLACE, MAX_SHAPE_SAME_PLACE = 3.9, 1.7
RECENT_S = 20.0  # time constant of "long before"

# A track with a face within MAX_DISTANCE_STILL is still shown. The picture was cut if fewer than STABLE_SHARE of those
# that were shown together are still shown, and fewer than STABLE_SHARE of these are within SAME_PLACE (face widths) of
# their places. Then places do not count.
MAX_DISTANCE_STILL = 1.8
STABLE_SHARE = 0.5
SAME_PLACE = 0.5

# Up to this distance a new face may belong to a missing participant. It then needs several sightings to get an id.
MAX_DISTANCE_IN_DOUBT = 3.4

# Extra cost of matching a track that has no id yet. It makes a known participant in changed light the cheaper match.
NO_ID_COST = 0.4

# Time constant with which the last known place loses its weight.
PLACE_FADES_S = 60.0

# Descriptors kept per track, the one that was matched last at the end. A descriptor further than NEW_DESCRIPTOR from
# all of them is added; a nearer one is blended into the nearest, with weight DESCRIPTOR_SHARE.
MAX_DESCRIPTORS = 6
NEW_DESCRIPTOR = 0.9
DESCRIPTOR_SHARE = 0.2

# A face with at least this detection score gets an id at once. A face with a lower score, or one that may be a missing
# participant, needs MIN_SIGHTINGS over at least MIN_WAIT_S. Between two of them, the last frame without it is at most
# MAX_GAP_S after the first. They wait in the state until it has an id.
CERTAIN_DETECTION = 0.85
MIN_SIGHTINGS = 3
MIN_WAIT_S = 1.0
MAX_GAP_S = 5.0

# If two frames are further apart than this, the rest counts as time without the face.
MAX_INTERVAL_S = 10.0

MAX_DISTANCE = 10.0  # more than any distance of two descriptors of faces

# The number of tracks that are kept. The one with the oldest last sighting is dropped first.
MAX_TRACKS = 250

Values = npt.NDArray[np.float64]


class Sighting(Struct, frozen=True, array_like=True):
    """A face in a frame, with its scores smoothed over time (None until the track has a face that can be read)."""

    frame: int
    t: float
    face: FaceObservation
    smoothed: ScoreVector | None


class Track(Struct, frozen=True):
    """A face over time. `participant` is its id, empty if it has none yet; its sightings are then `waiting`.

    `box` and `t` are those of the last sighting, `smoothed` and `read` (its time) of the last that could be read; a
    track of an older version has no `read`. `doubtful` means that the first sighting may be one of a missing
    participant.
    """

    participant: str = field(name="name")  # stored names differ, because lectures may run across an upgrade
    box: tuple[float, float, float, float]
    t: float
    smoothed: ScoreVector | None
    # An older version has descriptors of another kind under "looks", here and in "waiting". They are not read: its
    # tracks are found again by their places.
    descriptors: list[bytes] = field(default_factory=list, name="views")
    waiting: list[Sighting] = field(default_factory=list, name="unpublished")
    doubtful: bool = False
    read: float | None = None


class TrackerState(Struct, frozen=True):
    """All tracks of one recording, and the number of ids given (stored as `named`).

    `only` is the participant of a recording that shows one known person. `t` is the time of the last frame, `cut` that
    of the last one in which the picture was cut or laid out anew.
    """

    tracks: list[Track] = field(default_factory=list)
    ids: int = field(default=0, name="named")
    only: str | None = None
    t: float | None = None
    cut: float = 0.0


class IdentifiedSighting(Struct, frozen=True):
    """A sighting of a participant with an id."""

    participant: str
    sighting: Sighting


def advance(state: TrackerState, frame: FrameObservation) -> tuple[TrackerState, list[IdentifiedSighting]]:
    """Fold one frame: the new state, and the sightings to publish, oldest first.

    If a face needed several sightings to get an id, the earlier ones are published with the last one.
    """
    faces = frame.faces
    if state.only is not None:
        faces = sorted(faces, key=lambda face: face.box[2] * face.box[3])[-1:]  # the largest face is at the camera
    now = frame.stamp.t
    interval = 0.0 if state.t is None else min(now - state.t, MAX_INTERVAL_S)
    tracks = [track for track in state.tracks if track.participant or now - track.t - interval <= MAX_GAP_S]
    ids = state.ids
    sightings: list[IdentifiedSighting] = []
    match = _matched(tracks, faces, now, state.cut)
    matched = match.tracks
    if state.only is not None and tracks:
        matched = [0] * len(faces)
    for face, index, doubtful in zip(faces, matched, match.doubts, strict=True):
        track = _continued(tracks[index], face, frame) if index is not None else _begun(face, frame, doubtful)
        if not track.participant and (state.only or _deserves_id(track)):
            if ids < MAX_PARTICIPANTS:
                ids += 1
                track = replace(track, participant=state.only or f"p{ids:02d}")
            else:
                track = replace(track, waiting=[])  # the limit is reached: this face is never published
        if track.participant:
            sightings += [IdentifiedSighting(track.participant, sighting) for sighting in track.waiting]
            track = replace(track, waiting=[])
        if index is None:
            tracks.append(track)
        else:
            tracks[index] = track
    sightings.sort(key=lambda one: (one.sighting.frame, one.participant))
    if len(tracks) > MAX_TRACKS:
        tracks = sorted(tracks, key=lambda track: track.t)[-MAX_TRACKS:]
    return TrackerState(tracks, ids, state.only, now, match.cut), sightings


def _deserves_id(track: Track) -> bool:
    certain = any(sighting.face.detection >= CERTAIN_DETECTION for sighting in track.waiting)
    waited = track.t - track.waiting[0].t >= MIN_WAIT_S if track.waiting else False
    return (len(track.waiting) >= MIN_SIGHTINGS and waited) or (certain and not track.doubtful)


def _begun(face: FaceObservation, frame: FrameObservation, doubtful: bool) -> Track:
    sighting = Sighting(frame.stamp.frame, frame.stamp.t, face, face.scores)
    read = None if face.scores is None else frame.stamp.t
    return Track("", face.box, frame.stamp.t, face.scores, [face.appearance], [sighting], doubtful, read=read)


def _continued(track: Track, face: FaceObservation, frame: FrameObservation) -> Track:
    """The track after this sighting, which is added to `waiting`."""
    t = frame.stamp.t
    smoothed = smoothed_scores(track.smoothed, face, t - (track.t if track.read is None else track.read))
    read = track.read if face.scores is None else t
    descriptors = _remembered(track.descriptors, face.appearance)
    waiting = [*track.waiting, Sighting(frame.stamp.frame, t, face, smoothed)]
    return replace(track, box=face.box, t=t, smoothed=smoothed, descriptors=descriptors, waiting=waiting, read=read)


def _remembered(descriptors: list[bytes], newest: bytes) -> list[bytes]:
    """The descriptors to keep, the one that is nearest to the newest at the end."""
    if not descriptors:
        return [newest]
    from_kept = distances([newest], descriptors).both[0]
    nearest = int(from_kept.argmin())
    if from_kept[nearest] > NEW_DESCRIPTOR:
        return [*descriptors, newest][-MAX_DESCRIPTORS:]
    update = blended(descriptors[nearest], newest, DESCRIPTOR_SHARE)
    return [*descriptors[:nearest], *descriptors[nearest + 1 :], update]


class _Match(NamedTuple):
    """For each face the index of its track (None for a new face), and whether it may be a missing participant.

    `cut` is the time of the last cut.
    """

    tracks: list[int | None]
    doubts: list[bool]
    cut: float


def _matched(tracks: list[Track], faces: list[FaceObservation], now: float, cut: float) -> _Match:
    chosen: list[int | None] = [None] * len(faces)
    if not tracks or not faces:
        return _Match(chosen, [False] * len(faces), cut)
    place = _places(tracks, faces)
    appearance, shape = _appearances(tracks, faces, place)
    last = np.asarray([track.t for track in tracks])
    has_id = np.asarray([bool(track.participant) for track in tracks])
    before, again, stable = _continuity(place, appearance, last)
    gap = np.maximum(before - last, 0)
    cut = min(cut, before) if stable else now
    placed = last >= cut
    fresh = placed * np.exp(-gap / PLACE_FADES_S)
    place_cost = PLACE_COST * (fresh * place + (1 - fresh) / 2)
    cost = place_cost + appearance / APPEARANCE_SCALE + np.where(has_id, 0, NO_ID_COST)
    recent = np.exp(-gap / RECENT_S - (now - before) / PLACE_FADES_S)
    same_place = placed * np.minimum((1 - place) / (1 - SAME_PLACE), 1) * recent
    recent = again * recent
    limits = [
        later + (moved - later) * recent + (same - moved) * same_place
        for later, moved, same in (
            (MAX_DISTANCE_LATER, MAX_DISTANCE_MOVED, MAX_DISTANCE_SAME_PLACE),
            (MAX_SHAPE_LATER, MAX_SHAPE_MOVED, MAX_SHAPE_SAME_PLACE),
        )
    ]
    possible = (appearance < limits[0]) | (shape < limits[1])
    # A possible match is always cheaper than a new track, and a new track is cheaper than an impossible match.
    new = PLACE_COST + MAX_DISTANCE / APPEARANCE_SCALE + NO_ID_COST
    columns = np.hstack([np.where(possible, cost, 2 * new), np.full((len(faces), len(faces)), new)])
    for row, column in zip(*linear_sum_assignment(columns), strict=True):
        if column < len(tracks) and possible[row, column]:
            chosen[row] = int(column)
    missing = has_id & ~np.isin(np.arange(len(tracks)), [index for index in chosen if index is not None])
    doubts = (((appearance < MAX_DISTANCE_IN_DOUBT) | (same_place > 0.5) | (not stable)) & missing).any(axis=1)
    return _Match(chosen, [bool(doubt) for doubt in doubts], cut)


def _continuity(place: Values, appearance: Values, last: Values) -> tuple[float, float, bool]:
    """What this frame has in common with an earlier one.

    Returns the time when its people were last shown together, the share of the tracks seen then that resemble a face of
    this frame (0 if there are none), and whether places count: not if few of them are shown again, and these at other
    places.
    """
    alike = appearance < MAX_DISTANCE_STILL
    known = alike.any(axis=0)
    if not known.any():
        return float(last.max()), 0.0, False
    there = (alike & (place < SAME_PLACE)).any(axis=0)
    before = float(np.median(last[known]))
    again = float(known[last >= before].mean())
    return before, again, again >= STABLE_SHARE or bool(there.sum() >= STABLE_SHARE * known.sum())


def _places(tracks: list[Track], faces: list[FaceObservation]) -> Values:
    """How far faces are from the places of tracks, [faces, tracks]: 0, to 1 for a face width or more."""
    there = np.asarray([track.box for track in tracks], float)[np.newaxis]
    here = np.asarray([face.box for face in faces], float)[:, np.newaxis]
    width = np.maximum((there[..., 2] + here[..., 2]) / 2, 1e-6)
    centres = there[..., :2] + there[..., 2:] / 2 - here[..., :2] - here[..., 2:] / 2
    moved = np.hypot(centres[..., 0], centres[..., 1]) / width
    growth = np.abs(np.log(np.maximum(here[..., 2], 1e-6) / np.maximum(there[..., 2], 1e-6)))
    return np.asarray(np.minimum(moved + growth, 1))


def _appearances(tracks: list[Track], faces: list[FaceObservation], place: Values) -> tuple[Values, Values]:
    """Distances of faces from the nearest descriptors of tracks, both [faces, tracks]: of appearance, and of shape.

    A track without descriptors, from an older version, equals a face at its place and resembles no other.
    """
    appearance = np.where(place < 1, 0, MAX_DISTANCE)
    shape = appearance.copy()
    known = [index for index, track in enumerate(tracks) if track.descriptors]
    if known:
        starts = np.cumsum([0, *(len(tracks[index].descriptors) for index in known[:-1])])
        from_all = distances(
            [face.appearance for face in faces], [each for index in known for each in tracks[index].descriptors]
        )
        appearance[:, known] = np.minimum.reduceat(from_all.both, starts, axis=1)
        shape[:, known] = np.minimum.reduceat(from_all.shape, starts, axis=1)
    return appearance, shape
