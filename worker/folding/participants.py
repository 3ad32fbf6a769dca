"""Multi-face tracking: a pure function from (tracker state, a frame's faces) to (tracker state, sightings).

Faces are matched to tracks one to one, at the lowest total cost over the frame. The cost combines appearance and place:
appearance follows a participant who changes tiles, place follows one who changes expression, light or posture.
docs/tracking.md explains each constant and has its measurements.
"""

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
APPEARANCE_SCALE = 5.0
PLACE_COST = 0.2

# The largest appearance distance of a match. It depends on where and when the track was last seen:
# - MAX_DISTANCE_LATER: after a while. A participant who comes back must look alike.
# - MAX_DISTANCE_MOVED: a moment ago at another place. People trade tiles, and are seldom replaced at the same moment.
# - MAX_DISTANCE_SAME_PLACE: a moment ago at the same place. Light may have changed, or a hand covers the face.
MAX_DISTANCE_LATER = 2.25
MAX_DISTANCE_MOVED = 5.0
MAX_DISTANCE_SAME_PLACE = 6.0
RECENT_S = 3.0  # time constant of "a moment ago"

# The appearance of some participants varies all the time, for example of a lecturer who walks. For them the limit
# MAX_DISTANCE_LATER grows to RESTLESS times the mean distance of their own recent sightings, up to MAX_DISTANCE_MOVED.
# RESTLESS_SHARE is the weight of the newest sighting in that mean.
RESTLESS = 2.5
RESTLESS_SHARE = 0.1

# Up to this distance a new face may belong to a missing participant. It then needs several sightings to get an id.
MAX_DISTANCE_IN_DOUBT = 7.0

# Extra cost of matching a track that has no id yet. It makes a known participant in changed light the cheaper match.
NO_ID_COST = 1.0

# Time constant with which the last known place loses its weight.
PLACE_FADES_S = 60.0

# Descriptors kept per track. A descriptor further than NEW_DESCRIPTOR from all of them is added; a nearer one is
# blended into the nearest, with weight DESCRIPTOR_SHARE.
MAX_DESCRIPTORS = 4
NEW_DESCRIPTOR = 1.5
DESCRIPTOR_SHARE = 0.1

# A face with at least this detection score gets an id at once. If it resembles a missing participant, or has a lower
# score, it needs MIN_SIGHTINGS, each at most MAX_GAP_S after the one before. They wait in the state until it has an id.
CERTAIN_DETECTION = 0.85
MIN_SIGHTINGS = 3
MAX_GAP_S = 5.0

# The number of tracks that are kept. The one with the oldest last sighting is dropped first.
MAX_TRACKS = 250


class Sighting(Struct, frozen=True, array_like=True):
    """A face in a frame, with its scores smoothed over time (None until the track has a face that can be read)."""

    frame: int
    t: float
    face: FaceObservation
    smoothed: ScoreVector | None


class Track(Struct, frozen=True):
    """A face over time. `participant` is its id, empty if it has none yet; its sightings are then `waiting`.

    `box` and `t` are those of the last sighting, `smoothed` and `read` (its time) of the last that could be read; a
    track of an older version has no `read`. `doubtful` means that the first sighting resembled a
    missing participant. `restless` is the mean appearance distance of recent sightings from the older descriptors.
    """

    participant: str = field(name="name")  # stored names differ, because lectures may run across an upgrade
    box: tuple[float, float, float, float]
    t: float
    smoothed: ScoreVector | None
    descriptors: list[bytes] = field(name="looks")
    waiting: list[Sighting] = field(default_factory=list)
    doubtful: bool = False
    restless: float = 0.0
    read: float | None = None


class TrackerState(Struct, frozen=True):
    """All tracks of one recording, and the number of ids given (stored as `named`).

    `only` is the participant of a recording that shows one known person.
    """

    tracks: list[Track] = field(default_factory=list)
    ids: int = field(default=0, name="named")
    only: str | None = None


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
    tracks = [track for track in state.tracks if track.participant or frame.stamp.t - track.t <= MAX_GAP_S]
    ids = state.ids
    sightings: list[IdentifiedSighting] = []
    matched, doubts = _matched(tracks, faces, frame.stamp.t)
    if state.only is not None and tracks:
        matched = [0] * len(faces)
    for face, index, doubtful in zip(faces, matched, doubts, strict=True):
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
    return TrackerState(tracks, ids, state.only), sightings


def _deserves_id(track: Track) -> bool:
    certain = any(sighting.face.detection >= CERTAIN_DETECTION for sighting in track.waiting)
    return len(track.waiting) >= MIN_SIGHTINGS or (certain and not track.doubtful)


def _begun(face: FaceObservation, frame: FrameObservation, doubtful: bool) -> Track:
    sighting = Sighting(frame.stamp.frame, frame.stamp.t, face, face.scores)
    read = None if face.scores is None else frame.stamp.t
    return Track("", face.box, frame.stamp.t, face.scores, [face.appearance], [sighting], doubtful, read=read)


def _continued(track: Track, face: FaceObservation, frame: FrameObservation) -> Track:
    """The track after this sighting, which is added to `waiting`."""
    t = frame.stamp.t
    smoothed = smoothed_scores(track.smoothed, face, t - (track.t if track.read is None else track.read))
    read = track.read if face.scores is None else t
    descriptors, distance = _remembered(track.descriptors, face.appearance)
    restless = track.restless + RESTLESS_SHARE * (distance - track.restless)
    waiting = [*track.waiting, Sighting(frame.stamp.frame, t, face, smoothed)]
    return replace(
        track,
        box=face.box,
        t=t,
        smoothed=smoothed,
        descriptors=descriptors,
        waiting=waiting,
        restless=restless,
        read=read,
    )


def _remembered(descriptors: list[bytes], newest: bytes) -> tuple[list[bytes], float]:
    """The descriptors to keep, and the distance of the newest one from the nearest of those kept before."""
    from_kept = distances([newest], descriptors)[0]
    nearest = int(from_kept.argmin())
    distance = float(from_kept[nearest])
    if distance > NEW_DESCRIPTOR:
        return [*descriptors, newest][-MAX_DESCRIPTORS:], distance
    update = blended(descriptors[nearest], newest, DESCRIPTOR_SHARE)
    return [*descriptors[:nearest], update, *descriptors[nearest + 1 :]], distance


def _matched(tracks: list[Track], faces: list[FaceObservation], now: float) -> tuple[list[int | None], list[bool]]:
    """For each face the index of its track (None for a new face), and whether it may be a missing participant."""
    chosen: list[int | None] = [None] * len(faces)
    if not tracks or not faces:
        return chosen, [False] * len(faces)
    appearance, place, gap = _track_distances(tracks, faces, now)
    fresh = np.exp(-gap / PLACE_FADES_S)
    has_id = np.asarray([bool(track.participant) for track in tracks])
    place_cost = PLACE_COST * (fresh * place + (1 - fresh) / 2)
    cost = place_cost + appearance / APPEARANCE_SCALE + np.where(has_id, 0, NO_ID_COST)
    recent = np.exp(-gap / RECENT_S)
    same_place = (1 - place) * recent
    later = np.clip([RESTLESS * track.restless for track in tracks], MAX_DISTANCE_LATER, MAX_DISTANCE_MOVED)
    elsewhere = later + (MAX_DISTANCE_MOVED - later) * recent
    possible = appearance < elsewhere + (MAX_DISTANCE_SAME_PLACE - MAX_DISTANCE_MOVED) * same_place
    # A possible match is always cheaper than a new track, and a new track is cheaper than an impossible match.
    new = PLACE_COST + MAX_DISTANCE_SAME_PLACE / APPEARANCE_SCALE + NO_ID_COST
    columns = np.hstack([np.where(possible, cost, 2 * new), np.full((len(faces), len(faces)), new)])
    for row, column in zip(*linear_sum_assignment(columns), strict=True):
        if column < len(tracks) and possible[row, column]:
            chosen[row] = int(column)
    missing = has_id & ~np.isin(np.arange(len(tracks)), [index for index in chosen if index is not None])
    doubts = (((appearance < MAX_DISTANCE_IN_DOUBT) | (same_place > 0.5)) & missing).any(axis=1)
    return chosen, [bool(doubt) for doubt in doubts]


def _track_distances(
    tracks: list[Track], faces: list[FaceObservation], now: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Distances of faces from tracks: appearance [faces, tracks], place [faces, tracks] (0 to 1), seconds [tracks]."""
    there = np.asarray([track.box for track in tracks], float)[np.newaxis]
    here = np.asarray([face.box for face in faces], float)[:, np.newaxis]
    width = np.maximum((there[..., 2] + here[..., 2]) / 2, 1e-6)
    centres = there[..., :2] + there[..., 2:] / 2 - here[..., :2] - here[..., 2:] / 2
    moved = np.hypot(centres[..., 0], centres[..., 1]) / width
    growth = np.abs(np.log(np.maximum(here[..., 2], 1e-6) / np.maximum(there[..., 2], 1e-6)))
    starts = np.cumsum([0, *(len(track.descriptors) for track in tracks[:-1])])
    from_all = distances(
        [face.appearance for face in faces], [descriptor for track in tracks for descriptor in track.descriptors]
    )
    gap = now - np.asarray([track.t for track in tracks])
    return np.minimum.reduceat(from_all, starts, axis=1).astype(float), np.minimum(moved + growth, 1), gap
