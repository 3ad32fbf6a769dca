"""Labelled pictures for tests: faces drawn with a mouth and brows that depend on the emotion."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from worker.contract.messages import EMOTIONS


def draw_face(emotion: str, seed: int, side: int = 48) -> npt.NDArray[np.uint8]:
    """A face, [side, side, 3], grey: its expression decided by `emotion`, all else by `seed`."""
    random = np.random.default_rng(seed)
    label = EMOTIONS.index(emotion)
    picture = np.full((side, side), int(random.integers(0, 80)), np.uint8)
    skin, ink = [int(random.integers(150, 250))], [int(random.integers(0, 60))]
    x, y = (int(side / 2 + random.integers(-2, 3)) for _ in range(2))
    cv2.ellipse(picture, (x, y), (side * 2 // 5, side * 12 // 25), 0, 0, 360, skin, -1)
    for eye in (x - side // 6, x + side // 6):
        cv2.circle(picture, (eye, y - side // 8), 2 + label % 3, ink, -1)
        cv2.line(picture, (eye - 4, y - side // 4 - label % 4), (eye + 4, y - side // 4 + label % 4), ink, 1)
    cv2.ellipse(picture, (x, y + side // 4), (side // 6, 1 + label), 0, 0, 180 + 30 * label, ink, 2)
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR).astype(np.uint8)


def write_faces(folder: Path, each: int, first_seed: int) -> Path:
    """`each` pictures in a folder for every emotion; returns `folder`."""
    for label, emotion in enumerate(EMOTIONS):
        (folder / emotion).mkdir(parents=True)
        for i in range(each):
            face = draw_face(emotion, first_seed + 100 * label + i)
            assert cv2.imwrite(str(folder / emotion / f"{i}.png"), face)
    return folder


def distinct_face(emotion: str, seed: int, side: int = 48) -> npt.NDArray[np.uint8]:
    """A face, [side, side, 3], grey, before clouds of its own, so that no two seeds look like one picture."""
    clouds = np.random.default_rng(seed).integers(0, 256, (6, 6)).astype(np.uint8)
    background = cv2.cvtColor(cv2.resize(clouds, (side, side), interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(draw_face(emotion, seed, side), 0.4, background, 0.6, 0).astype(np.uint8)


def write_distinct_faces(folder: Path, each: int, first_seed: int) -> Path:
    """`each` pictures in a folder for every emotion, no two alike; returns `folder`."""
    for label, emotion in enumerate(EMOTIONS):
        for i in range(each):
            put_picture(folder / emotion / f"{i}.png", distinct_face(emotion, first_seed + 100 * label + i))
    return folder


def put_picture(path: Path, pixels: npt.NDArray[np.uint8]) -> Path:
    """Write a picture where there may be no folder yet; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path
