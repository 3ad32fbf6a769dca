"""How far augmentation changes a picture."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

keras = pytest.importorskip("keras")

from training.networks.augmentation import Augment  # noqa: E402
from training.recipe import Augmentation  # noqa: E402

pytestmark = pytest.mark.timeout(900)

SIDE = 60
COUNT = 200

Pixels = npt.NDArray[Any]


def augmented(pictures: Pixels, kind: Augmentation, seed: int = 1, training: bool = True) -> Pixels:
    made: Pixels = keras.ops.convert_to_numpy(Augment(seed, kind)(pictures, training=training))
    return made


def bars(width: int = 24, height: int = 6) -> Pixels:
    """A lying bar in the middle of each of many pictures, [n, SIDE, SIDE, 1]."""
    pictures = np.zeros((COUNT, SIDE, SIDE, 1), np.uint8)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    pictures[:, top : top + height, left : left + width] = 200
    return pictures


def moments(pictures: Pixels) -> tuple[Pixels, Pixels]:
    """Of the bright pixels: the middle, [n, 2] as x and y, and the angle of the long side, in degrees."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    weights = pictures[..., 0] / pictures.sum(axis=(1, 2, 3))[:, None, None]
    middle = np.stack([(weights * x).sum(axis=(1, 2)), (weights * y).sum(axis=(1, 2))], axis=1)
    dx, dy = x - middle[:, :1, None], y - middle[:, 1:, None]
    xx, yy, xy = ((weights * product).sum(axis=(1, 2)) for product in (dx * dx, dy * dy, dx * dy))
    return middle, np.degrees(np.arctan2(2 * xy, xx - yy) / 2)


@pytest.mark.parametrize("kind", ["crop", "study"])
def test_outside_training_nothing_changes(kind: Augmentation) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (3, 20, 20, 3), np.uint8)
    assert np.array_equal(augmented(pictures, kind, training=False), pictures)


@pytest.mark.parametrize("kind", ["crop", "study"])
def test_pixels_stay_within_0_and_255_and_no_two_pictures_are_changed_alike(kind: Augmentation) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (1, 20, 20, 3), np.uint8)
    made = augmented(np.repeat(picture, 8, axis=0), kind)
    assert made.shape == (8, 20, 20, 3)
    assert made.min() >= 0
    assert made.max() <= 255
    assert len({row.tobytes() for row in made}) == 8


@pytest.mark.parametrize(("kind", "turn", "shift"), [("study", 45, 0.20), ("crop", 20, 0.10)])
def test_pictures_are_turned_and_shifted_up_to_the_extremes(
    kind: Augmentation, turn: float, shift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Light and hidden squares would change the measured middle.
    monkeypatch.setattr(Augment, "_light", lambda _, pixels, draws: pixels)
    monkeypatch.setattr(Augment, "_hide", lambda _, pixels, draws: pixels)
    middle, angle = moments(augmented(bars(), kind))
    assert turn * 0.9 < np.abs(angle).max() < turn + 2
    assert angle.min() < 0 < angle.max()
    # The shift comes before turn and scale, so the middle moves a little further.
    moved = np.hypot(*middle.T)
    assert shift * SIDE * 0.9 < moved.max() < shift * SIDE * np.sqrt(2) * 1.25 + 1


@pytest.mark.parametrize("kind", ["crop", "study"])
def test_about_half_of_the_pictures_are_mirrored(kind: Augmentation) -> None:
    pictures = np.zeros((COUNT, SIDE, SIDE, 1), np.uint8)
    pictures[:, :, : SIDE // 2] = 200
    halves = augmented(pictures, kind)[:, 20:40]
    mirrored = halves[:, :, : SIDE // 2].mean(axis=(1, 2, 3)) < halves[:, :, SIDE // 2 :].mean(axis=(1, 2, 3))
    assert 0.35 < mirrored.mean() < 0.65


def test_the_study_does_not_change_light_and_repeats_the_edge() -> None:
    even = np.full((COUNT, 20, 20, 3), 90, np.uint8)
    assert np.allclose(augmented(even, "study"), 90, atol=0.01)


def test_crops_are_darker_and_brighter_and_sometimes_half_hidden() -> None:
    even = np.full((COUNT, 20, 20, 1), 90, np.uint8)
    made = augmented(even, "crop")
    assert made.max(axis=(1, 2, 3)).min() < 60
    assert made.max() > 120
    hidden = (made == 127.5).mean(axis=(1, 2, 3))
    assert 0.15 < (hidden > 0).mean() < 0.35
    assert hidden.max() < 0.2


def test_the_same_seed_changes_pictures_the_same_way() -> None:
    assert np.array_equal(augmented(bars(), "crop", seed=4), augmented(bars(), "crop", seed=4))
    assert not np.array_equal(augmented(bars(), "crop", seed=4), augmented(bars(), "crop", seed=5))


def test_the_same_pictures_in_two_sizes_are_changed_alike() -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (50, 8, 8, 1), np.uint8).astype(np.float32)
    small, large = (pictures.repeat(n, axis=1).repeat(n, axis=2) for n in (4, 8))
    small, large = Augment(1, "crop")([small, large], training=True)
    assert (small.shape[1], large.shape[1]) == (32, 64)
    shrunk = np.asarray(large).reshape(50, 32, 2, 32, 2, 1).mean(axis=(2, 4))
    assert np.abs(shrunk - np.asarray(small)).mean() < 5, "two pictures that are changed apart differ by about 60"
