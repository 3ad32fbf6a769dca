"""`training teach`: soft targets of networks that take other pictures, averaged over views."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras

from tests.training.command_line import refusal, succeeded
from tests.training.drawn_faces import write_distinct_faces, write_faces
from tests.training.tiny_network import finished_run
from training.datasets import load_faces, read_dataset
from training.fitting.distillation import DISTILLED_SHARE, distilled_targets, read_soft_targets
from training.fitting.predict import predict
from training.fitting.teaching import VIEWS, Teacher
from training.measuring.framing import reframed
from training.recipe import Recipe
from worker.contract.messages import EMOTIONS
from worker.perception.preprocessing import network_pixels

# TensorFlow alone takes 5 s of a free core to import, many more of a busy one.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teach")
    faces = write_distinct_faces(folder / "faces", each=4, first_seed=1)
    succeeded("prepare", faces, "--out", folder / "set", "--validation-share", "0.25")
    return folder / "set" / "train"


def blue_network(path: Path, activation: str | None) -> Path:
    """A network of 16x16 pictures whose first logit is the mean of the first channel, and the others 0."""
    given = keras.Input((16, 16, 3))
    kernel = np.zeros((3, 7), np.float32)
    kernel[0, 0] = 1
    mean = keras.layers.GlobalAveragePooling2D()(given)
    dense = keras.layers.Dense(7, use_bias=False, activation=activation)
    network = keras.Model(given, dense(mean))
    dense.set_weights([kernel])
    network.save(path)
    return path


def test_a_run_teaches_what_its_network_predicts_over_crops_and_mirror_images(prepared: Path, tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", Recipe("mobilenetv2", size=32))
    network = keras.models.load_model(run / "mobilenetv2.keras", compile=False)
    network.layers[-1].set_weights(
        [1000 * weight for weight in network.layers[-1].get_weights()]
    )  # certain of something
    network.save(run / "mobilenetv2.keras")
    file = tmp_path / "soft.npz"
    said = succeeded("teach", run, prepared, "--out", file).stdout
    faces = load_faces([read_dataset(prepared)], 32, "grey")
    assert f"wrote {len(faces.labels)} soft targets of run" in said

    targets = read_soft_targets(file)

    row_of = {str(origin): i for i, origin in enumerate(targets["origin"])}
    taught = targets["run"][[row_of[str(origin)] for origin in faces.origins]].astype(np.float32)
    alone = predict(run, faces)
    assert not np.allclose(taught, alone, atol=0.01), "not only the picture as it is"
    pictures = [picture.pixels() for picture in read_dataset(prepared).pictures]
    views = [reframed(picture, view) for view in VIEWS for picture in pictures if picture is not None]
    pixels = np.stack([network_pixels(view[:, ::step], 32, "grey") for step in (1, -1) for view in views])
    expected = predict(run, replace(faces, pixels=pixels)).reshape(4, len(faces.labels), 7).mean(axis=0)
    assert taught == pytest.approx(expected, abs=2e-3)
    learned = distilled_targets(
        Recipe("mobilenetv2", targets=str(file)), np.eye(7, dtype=np.float32)[faces.labels], faces
    )
    assert learned == pytest.approx(
        DISTILLED_SHARE * taught + (1 - DISTILLED_SHARE) * np.eye(7)[faces.labels], abs=1e-2
    )


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_the_order_of_colours_and_the_scale_of_the_pixels_are_the_teachers(
    prepared: Path, tmp_path: Path, activation: str | None
) -> None:
    network = blue_network(tmp_path / "blue.keras", activation)
    blue = tmp_path / "set" / "happiness"
    blue.mkdir(parents=True)
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[..., 0] = 130  # OpenCV's first channel
    assert cv2.imwrite(str(blue / "a.png"), picture)
    header = (prepared / "index.csv").read_text().splitlines()[0]
    (blue.parent / "index.csv").write_text(f"{header}\nhappiness/a.png,happiness,,blue,blue/a.png,1{',' * 7}\n")
    file = tmp_path / "soft.npz"
    for colour, logit in (("rgb", -1.0), ("bgr", 0.5)):
        options = ["--colour", colour, "--mean", "100,50,50", "--std", "60" if colour == "bgr" else "100"]
        succeeded("teach", network, blue.parent, "--out", file, "--name", colour, *options)
        row = read_soft_targets(file)[colour][0].astype(float)
        assert row[0] == pytest.approx(np.exp(logit) / (np.exp(logit) + 6), abs=2e-3)
    assert set(read_soft_targets(file)) == {"origin", "rgb", "bgr"}, "the teachers of one file"


def test_the_input_of_a_teacher_is_scaled_and_normalized_for_each_channel() -> None:
    picture = np.full((30, 20, 3), (10, 20, 30), np.uint8)
    teacher = Teacher(None, 8, "bgr", (1.0, 2.0, 3.0), 2.0)
    assert teacher.batch([picture, picture]).shape == (2, 8, 8, 3)
    assert teacher.batch([picture])[0, 0, 0].tolist() == [4.5, 9.0, 13.5]
    assert Teacher(None, 8, "rgb").batch([picture])[0, 0, 0] == pytest.approx((np.array([30, 20, 10]) - 127.5) / 127.5)


def test_a_teacher_that_cannot_teach_is_refused_in_one_line(prepared: Path, tmp_path: Path) -> None:
    network = blue_network(tmp_path / "blue.keras", None)
    out = ("--out", tmp_path / "soft.npz")
    six = tmp_path / "six.keras"
    given = keras.Input((16, 16, 3))
    keras.Model(given, keras.layers.Dense(6)(keras.layers.Flatten()(given))).save(six)
    unprepared = write_faces(tmp_path / "plain", each=1, first_seed=7)
    for words, complaint in [
        ((tmp_path / "none.keras", prepared), "no network that takes pictures"),
        ((six, prepared), f"has 6 outputs instead of {len(EMOTIONS)}"),
        ((network, prepared, "--size", "20"), "takes pictures of 16x16; say with --size"),
        ((network, prepared, "--colour", "grey"), "takes 3 channels, which are not grey"),
        ((network, prepared, "--mean", "1,2"), "--mean has 2 values"),
        ((network, prepared, "--mean", "dark"), "--mean dark: not numbers"),
        ((network, unprepared), "its pictures have no origin"),
        ((network, prepared, "--name", "origin"), "--name origin: no name for a teacher"),
        ((network, prepared, "--name", "file"), "--name file: no name for a teacher"),
    ]:
        assert complaint in refusal("teach", *words, *out)
    np.savez(out[1], origin=["other"], them=np.eye(7)[:1])
    assert "has soft targets for other pictures" in refusal("teach", network, prepared, *out)
