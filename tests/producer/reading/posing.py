"""Lectures in which the turn of every head is known: a function of participant and frame gives it."""

from collections.abc import Callable

from msgspec.structs import replace

from tests.producer.reading.writing import class_, emotion
from worker.contract.messages import Event, Pose

Seen = Callable[[int, int], int | None]
"""(participant, frame) -> the yaw of the head, None if they are not in view."""


def posed(people: int, frames: int, seen: Seen) -> list[list[Event]]:
    """The events of each frame; two frames a second, so a step has two."""
    lecture: list[list[Event]] = []
    for frame in range(frames):
        yaws = {f"p{n + 1:02}": yaw for n in range(people) if (yaw := seen(n, frame)) is not None}
        sightings = [replace(emotion("l", each, frame), pose=Pose(yaw, 0, 0)) for each, yaw in yaws.items()]
        turned = sum(event.pose.turned_away for event in sightings if isinstance(event.pose, Pose))
        lecture.append([*sightings, replace(class_("l", frame, len(sightings)), turned_away=turned)])
    return lecture
