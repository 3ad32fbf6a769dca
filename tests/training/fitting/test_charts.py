from pathlib import Path

import cv2
import numpy as np
import pytest

from training.fitting.charts import confusion_matrix, curves, save_chart
from training.recipe import RunError
from worker.contract.messages import EMOTIONS


def history(epochs: int, last_rate: float = 1e-4) -> list[dict[str, float]]:
    rates = np.linspace(1e-3, last_rate, epochs) if epochs > 1 else [last_rate]
    return [
        {
            "epoch": i + 1.0,
            "loss": 2 - i / 10,
            "accuracy": i / 10,
            "val_loss": 2 - i / 20,
            "val_accuracy": i / 20,
            "learning_rate": rate,
        }
        for i, rate in enumerate(rates)
    ]


def test_every_metric_of_every_epoch_is_drawn() -> None:
    loss, accuracy, rate = curves(history(5)).axes
    drawn = [[np.asarray(line.get_ydata()).tolist() for line in axes.lines] for axes in (loss, accuracy, rate)]
    columns = [["loss", "val_loss"], ["accuracy", "val_accuracy"], ["learning_rate"]]
    assert drawn == [[[epoch[name] for epoch in history(5)] for name in names] for names in columns]
    assert np.asarray(loss.lines[0].get_xdata()).tolist() == [1, 2, 3, 4, 5]
    legend = loss.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["training", "validation"]


@pytest.mark.parametrize(("epochs", "last_rate"), [(1, 1e-3), (3, 0.0)])
def test_curves_of_one_epoch_and_of_a_rate_that_ends_at_0_are_drawn_too(
    tmp_path: Path, epochs: int, last_rate: float
) -> None:
    save_chart(curves(history(epochs, last_rate)), tmp_path / "curves.png")
    chart = cv2.imread(str(tmp_path / "curves.png"))
    assert chart.shape[1] > 1000
    assert chart.min() < 50
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_a_cell_shows_its_share_of_the_row_and_its_count() -> None:
    counts = np.zeros((7, 7), np.int64)
    counts[0] = [6, 0, 0, 0, 0, 2, 0]
    counts[3, 3] = 50
    axes = confusion_matrix(counts, "of a network").axes[0]
    cells = {text.get_position(): text for text in axes.texts}
    assert {at: cells[at].get_text() for at in ((0, 0), (5, 0), (3, 3), (4, 4))} == {
        (0, 0): "75%\n6",
        (5, 0): "25%\n2",
        (3, 3): "100%\n50",
        (4, 4): "0%\n0",
    }
    assert cells[(3, 3)].get_color() != cells[(5, 0)].get_color()
    assert axes.get_title() == "of a network"
    assert [text.get_text() for text in axes.get_yticklabels()] == list(EMOTIONS)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux' full disk")
def test_a_full_disk_is_one_line_and_the_chart_before_is_unchanged(tmp_path: Path) -> None:
    (tmp_path / "curves.png").write_bytes(b"as it was")
    (tmp_path / "unfinished-curves.png").symlink_to("/dev/full")
    with pytest.raises(RunError, match=f"{tmp_path}: no space left to write curves.png; make some"):
        save_chart(curves(history(2)), tmp_path / "curves.png")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
    assert (tmp_path / "curves.png").read_bytes() == b"as it was"
