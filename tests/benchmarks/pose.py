"""The error of the turn of the head: on KDEF's half profiles, and on faces that are rendered at known angles.

    python -m tests.benchmarks.pose --kdef FOLDER [--people 24]

FOLDER has KDEF's pictures under their own names (AF01NES.JPG: session, sex, person, expression, angle). Each is
put into a tile of a gallery of 4, 9 or 25 people, 720p, and its face is found as in the worker: in the first frame
in all windows, in the second around the face of the first.

Faces are rendered as in Zhu et al., Face alignment across large poses (2016): MediaPipe's face mesh gives the depth of
a frontal picture, the head behind the face falls off to the plane of the ears, and the relief is turned. Parts that
the frontal picture does not show are stretched. docs/pose.md shows the result.
"""

import argparse
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from mediapipe.python.solutions.face_mesh import FaceMesh  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table
from scipy.interpolate import LinearNDInterpolator
from scipy.ndimage import distance_transform_edt

from tests.benchmarks.ruler import SIZE, write_down
from tests.gallery import tiles
from worker.contract.messages import TURNED_AWAY_DEG, Pose
from worker.perception.faces import FaceDetector
from worker.perception.pose import head_pose
from worker.perception.preprocessing import Image
from worker.perception.scales import Scales

GALLERIES = (4, 9, 25)
NAME = re.compile(r"(?P<session>[AB])(?P<person>[FM]\d\d)(?P<expression>[A-Z]{2})(?P<angle>S|HL|HR|FL|FR)")
KDEF_YAW = {"S": 0, "HL": -45, "HR": 45, "FL": -90, "FR": 90}
"""Degrees. The angles are those of the cameras; the people were not measured."""

ROTATIONS = {
    "yaw": (-60, -45, -30, -20, -10, 0, 10, 20, 30, 45, 60),
    "pitch": (-30, -20, -10, 0, 10, 20, 30),
    "roll": (-40, -20, 0, 20, 40),
}
THRESHOLDS = (20, 25, 30, 35, 40)

EAR_POINTS = (234, 454)  # of the mesh, beside the ears
DEPTH_OF_HEAD = 0.12  # of the hair and the wall behind the ears, in widths of the face
FALL = 1.0  # of the head outside the mesh, in pixels of depth for each pixel of distance
FINER = 3  # points of the relief for each pixel, both ways


class Posed(NamedTuple):
    """A picture, its person, and the angle at which it shows the head: of one axis, in degrees; the others are 0."""

    person: str
    angle: int
    picture: Image


def kdef(folder: Path, expressions: str = "") -> Iterator[Posed]:
    """KDEF's pictures of session A, in a random order; `expressions` leaves out all others."""
    files = sorted(folder.glob("*.JPG"))
    for number in np.random.default_rng(1).permutation(len(files)):
        name = NAME.match(files[number].name)
        if name and name["session"] == "A" and (not expressions or name["expression"] in expressions):
            picture = np.asarray(cv2.imread(str(files[number])), np.uint8)
            yield Posed(name["person"], KDEF_YAW[name["angle"]], picture)


def rendered(frontal: Sequence[Posed], axis: str) -> Iterator[Posed]:
    """Each frontal picture at each angle of an axis."""
    with FaceMesh(static_image_mode=True) as mesh:
        for person, _, picture in frontal:
            depth, pivot = _relief(picture, mesh)
            for angle in ROTATIONS[axis]:
                yield Posed(person, angle, _turned(picture, depth, pivot, axis, angle))


def measured(detector: FaceDetector, pictures: Sequence[Posed], people: int) -> Iterator[tuple[int, Pose | None]]:
    """(angle, measured pose) for each picture in two frames of galleries; None where no face is found."""
    places = tiles(people, *SIZE)
    for first in range(0, len(pictures), people):
        some = pictures[first : first + people]
        page = np.full((SIZE[1], SIZE[0], 3), 24, np.uint8)
        for place, posed in zip(places, some, strict=False):
            area = page[place.y : place.y + place.height, place.x : place.x + place.width]
            area[:] = np.median(posed.picture[:20].reshape(-1, 3), axis=0)
            scale = place.height / posed.picture.shape[0]
            picture = cv2.resize(posed.picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            left = (place.width - picture.shape[1]) // 2
            area[: picture.shape[0], left : left + picture.shape[1]] = picture[: place.height]
        changed = np.where(page < 128, page + 8, page - 8).astype(np.uint8)  # so that it is searched again
        for faces in detector.detect_in_frames([Scales(page), Scales(changed)]):
            for place, posed in zip(places, some, strict=False):
                inside = [face for face in faces if place.holds(face.box)]
                yield posed.angle, head_pose(inside[0].keypoints) if inside else None


def row(angle: int, poses: Sequence[Pose | None], axis: str) -> dict[str, Any]:
    """What was measured of heads at this angle: median, middle 90 % and mean absolute error, in degrees."""
    values = np.array([getattr(each, axis) for each in poses if each is not None])
    low, median, high = np.percentile(values, (5, 50, 95)) if len(values) else (np.nan,) * 3
    error = round(float(np.abs(values - angle).mean()), 1) if len(values) else None
    return {
        "angle": angle,
        "faces": len(poses),
        "found": round(len(values) / len(poses), 3),
        "median": float(median),
        "middle_90": [float(low), float(high)],
        "mean_error": error,
    }


def table(detector: FaceDetector, pictures: Sequence[Posed], axis: str, galleries: Sequence[int]) -> dict[str, Any]:
    """A row for each angle over all galleries. For yaw also the shares that each threshold calls turned away."""
    found: dict[int, list[Pose | None]] = defaultdict(list)
    for people in galleries:
        for angle, pose in measured(detector, pictures, people):
            found[angle].append(pose)
    rows = [row(angle, found[angle], axis) for angle in sorted(found)]
    beyond: dict[str, list[Any]] = {}
    if axis == "yaw":
        for each in rows:
            yaws = np.array([abs(pose.yaw) for pose in found[each["angle"]] if pose is not None])
            beyond[str(each["angle"])] = [round(float((yaws > limit).mean()), 3) for limit in THRESHOLDS]
    return {"rows": rows, **({"turned_away_beyond": list(THRESHOLDS), "shares": beyond} if beyond else {})}


def _relief(picture: Image, mesh: FaceMesh) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Depth of every pixel [height, width], larger is nearer, and the point (x, y, depth) around which heads turn."""
    height, width = picture.shape[:2]
    found = mesh.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)).multi_face_landmarks
    if not found:
        raise SystemExit("the face mesh finds no face in a frontal picture")
    points = np.array([(p.x * width, p.y * height, -p.z * width) for p in found[0].landmark])
    rows, columns = np.mgrid[:height, :width]
    inside = LinearNDInterpolator(points[:, :2], points[:, 2])(columns, rows)
    ears = points[list(EAR_POINTS)]
    wall = ears[:, 2].mean() - DEPTH_OF_HEAD * np.linalg.norm(ears[1] - ears[0])
    distance, (near_rows, near_columns) = distance_transform_edt(np.isnan(inside), return_indices=True)
    depth = np.maximum(inside[near_rows, near_columns] - FALL * distance, wall)
    return depth, np.array([*ears[:, :2].mean(axis=0), ears[:, 2].mean()])


def _turned(picture: Image, depth: np.ndarray[Any, Any], pivot: np.ndarray[Any, Any], axis: str, degrees: int) -> Image:
    """The relief turned around `pivot`. Positive: to the right edge, up, or clockwise."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = {
        "yaw": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "pitch": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "roll": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }[axis]
    height, width = depth.shape
    large = (width * FINER, height * FINER)
    colours = cv2.resize(picture, large, interpolation=cv2.INTER_LINEAR).reshape(-1, 3)
    z = cv2.resize(depth.astype(np.float32), large, interpolation=cv2.INTER_LINEAR)
    rows, columns = np.mgrid[: large[1], : large[0]]
    points = np.stack([(columns + 0.5) / FINER, (rows + 0.5) / FINER, z], axis=-1).reshape(-1, 3)
    points = (points - pivot) @ np.array(turn).T + pivot
    x, y = (np.rint(points[:, n] - 0.5).astype(int) for n in (0, 1))
    seen = np.flatnonzero((x >= 0) & (x < width) & (y >= 0) & (y < height))
    seen = seen[np.argsort(points[seen, 2], kind="stable")]  # the nearest is drawn last
    result = np.zeros_like(picture)
    holes = np.full((height, width), 255, np.uint8)
    result[y[seen], x[seen]] = colours[seen]
    holes[y[seen], x[seen]] = 0
    wall = np.median(picture[:20].reshape(-1, 3), axis=0)
    large_holes = cv2.morphologyEx(holes, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    result[large_holes > 0] = wall
    small_holes = np.where(large_holes > 0, 0, holes).astype(np.uint8)
    return np.asarray(cv2.inpaint(result, small_holes, 3, cv2.INPAINT_TELEA), np.uint8)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--kdef", type=Path, required=True)
    ask.add_argument("--people", type=int, default=24, help="people who are rendered")
    ask.add_argument("--save", type=Path, help="a folder for some of the rendered pictures, to look at")
    given = ask.parse_args()
    cv2.setNumThreads(1)
    detector = FaceDetector()
    result: dict[str, Any] = {"kdef": table(detector, list(kdef(given.kdef)), "yaw", GALLERIES)}
    frontal = [each for each in kdef(given.kdef, "NE") if each.angle == 0][: given.people]
    for axis in ROTATIONS:
        pictures = list(rendered(frontal, axis))
        for n, posed in enumerate(pictures[: 2 * len(ROTATIONS[axis])] if given.save else ()):
            cv2.imwrite(str(given.save / f"{axis}-{n:02}-{posed.angle}.png"), posed.picture)
        result[f"rendered {axis}"] = table(detector, pictures, axis, GALLERIES[1:])
    for name, some in result.items():
        shown = Table("angle", "faces", "found", "median", "middle 90 %", "mean error", title=name)
        for each in some["rows"]:
            shown.add_row(*map(str, each.values()))
        Console(width=120).print(shown)
        for angle, shares in some.get("shares", {}).items():
            limits = ", ".join(f"{limit}: {share:.1%}" for limit, share in zip(THRESHOLDS, shares, strict=True))
            Console(width=120).print(f"{name} {angle}: share turned away if the limit is {limits}")
    write_down("pose", {"turned_away": TURNED_AWAY_DEG, **result})


if __name__ == "__main__":
    main()
