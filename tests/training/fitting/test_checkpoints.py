"""The checkpoints of a fit: the best epoch, and what stops a fit at once."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("tensorflow")

from tests.training.tiny_network import tiny
from training.fitting.checkpoints import Checkpoints, best_epoch
from training.recipe import Recipe, RunError
from training.whole_file import write_whole

# TensorFlow alone takes 5 s of a free core to import, many more of a busy one.
pytestmark = pytest.mark.timeout(900)


@settings(deadline=None)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=20), st.sampled_from(["val_loss", "val_accuracy"]))
def test_the_best_epoch_is_the_first_of_the_best(values: list[float], monitor: str) -> None:
    best = best_epoch([{"epoch": i + 1.0, monitor: value} for i, value in enumerate(values)], monitor)
    assert values[best - 1] == (min if monitor == "val_loss" else max)(values)
    assert values[best - 1] not in values[: best - 1]


@pytest.mark.parametrize(
    "failure",
    [
        OSError(28, "Can't write data (file write failed: errno = 28, error message = 'No space left on device')"),
        RuntimeError("Disable slist on flush dest failure failed (errno = 28, 'No space left on device')"),
    ],
)
def test_a_disk_that_is_full_when_hdf5_writes_is_named_in_one_line(tmp_path: Path, failure: Exception) -> None:
    """The two failures of h5py 3 on a full tmpfs: while writing, and on closing the file."""

    def write_half(path: Path) -> None:
        path.write_bytes(b"half")
        raise failure

    with pytest.raises(RunError, match=f"{tmp_path}: no space left to write epoch-001.weights.h5; make some"):
        write_whole(tmp_path / "epoch-001.weights.h5", write_half)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    network = tiny(32, 1)
    network.compile("sgd")
    checkpoints = Checkpoints(tmp_path, Recipe("mobilenetv2", learning_rate=1e30))
    checkpoints.set_model(network)
    return checkpoints


def test_a_loss_that_is_not_a_number_stops_the_fit_and_leaves_no_checkpoint(
    tmp_path: Path, checkpoints: Checkpoints
) -> None:
    with pytest.raises(
        RunError, match=r"the loss is nan in epoch 1, nan on validation; .* --learning-rate below 1e\+30"
    ):
        checkpoints.on_epoch_end(0, {"loss": math.nan, "val_loss": math.nan})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux' full disk")
def test_a_full_disk_stops_the_fit_and_leaves_the_history_before(tmp_path: Path, checkpoints: Checkpoints) -> None:
    epoch = {"loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.5}
    checkpoints.on_epoch_end(0, epoch)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"history.csv", "epoch-001.weights.h5"}
    (tmp_path / "unfinished-history.csv").symlink_to("/dev/full")
    with pytest.raises(RunError, match=f"{tmp_path}: no space left to write history.csv; make some and run the same"):
        checkpoints.on_epoch_end(1, epoch)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
