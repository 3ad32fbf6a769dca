"""The batches of a fit: their order, their targets and weights, and mixup."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from training.datasets import FaceArrays
from training.fitting.batches import TrainingBatches
from training.recipe import Recipe

# TensorFlow alone takes 5 s of a free core to import, many more of a busy one.
pytestmark = pytest.mark.timeout(900)


def faces_of_64() -> FaceArrays:
    """64 pictures of one pixel with a channel for each emotion; only that of the label is bright."""
    labels = np.arange(64) % 7
    pixels = np.zeros((64, 1, 1, 7), np.uint8)
    pixels[np.arange(64), 0, 0, labels] = 200
    votes, weights = np.eye(7, dtype=np.float32)[labels], np.linspace(1, 2, 64, dtype=np.float32)
    return FaceArrays(pixels, labels, [], votes, weights)


def test_a_target_is_made_of_label_and_votes_and_goes_with_its_picture_and_weight() -> None:
    pixels = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    votes = np.full((4, 7), 1 / 7, np.float32)
    faces = FaceArrays(pixels, np.array([0, 1, 2, 6]), [], votes, np.array([1, 2, 3, 4], np.float32))
    batches = TrainingBatches(faces, Recipe("mobilenetv2", batch=3, vote_share=0.25))
    assert [len(batches[i][0]) for i in range(len(batches))] == [3, 1]
    given, targets, weights = (np.concatenate(parts) for parts in zip(batches[0], batches[1], strict=True))
    at = given[:, 0, 0, 0]
    assert sorted(at) == [0, 1, 2, 3]
    assert np.allclose(targets, (0.75 * np.eye(7)[faces.labels] + 0.25 / 7)[at])
    assert np.array_equal(weights, faces.weights[at])


def test_each_epoch_has_its_own_order_and_has_it_again_when_it_is_repeated() -> None:
    def order(epoch: int) -> list[float]:
        batches = TrainingBatches(faces_of_64(), Recipe("mobilenetv2", batch=64))
        batches.shuffle(epoch)
        return list(batches[0][2])

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == sorted(order(2))


def test_mixup_mixes_pixels_targets_and_weights_in_the_same_shares() -> None:
    batches = TrainingBatches(faces_of_64(), Recipe("mobilenetv2", batch=64, mixup=0.4))
    pixels, targets, weights = batches[0]
    assert pixels.dtype == np.uint8
    assert pixels[:, 0, 0, :] / 200 == pytest.approx(targets, abs=1 / 200)
    assert targets.sum(axis=1) == pytest.approx(1)
    assert (np.count_nonzero(targets, axis=1) == 2).sum() > 32
    assert ((weights >= 1) & (weights <= 2)).all()
    assert all(np.array_equal(a, b) for a, b in zip(batches[0], (pixels, targets, weights), strict=True))
    batches.shuffle(1)
    assert not np.array_equal(batches[0][1], targets)
