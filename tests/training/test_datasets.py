from pathlib import Path

import cv2
import pytest

from tests.training.drawn_faces import draw_face
from training.datasets import DatasetError, load_faces, read_dataset, refuse_shared_persons
from worker.contract.messages import EMOTIONS


def put(path: Path, seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), draw_face("happiness", seed))
    return path


@pytest.mark.parametrize(
    ("folder", "emotion"),
    [
        *[(emotion, emotion) for emotion in EMOTIONS],
        ("angry", "anger"),
        ("Happy", "happiness"),
        ("sad", "sadness"),
        ("surprised", "surprise"),
        ("afraid", "fear"),
        ("disgusted", "disgust"),
    ],
)
def test_a_folder_may_be_called_what_public_sets_call_it(tmp_path: Path, folder: str, emotion: str) -> None:
    put(tmp_path / folder / "a.png")
    (picture,) = read_dataset(tmp_path).pictures
    assert EMOTIONS[picture.label] == emotion


def test_contempt_and_unknown_folders_are_left_out_and_counted(tmp_path: Path) -> None:
    for folder in ("happy", "contempt", "contempt", "bored"):
        put(tmp_path / folder / f"{len(list(tmp_path.rglob('*.png')))}.png")
    dataset = read_dataset(tmp_path)
    assert len(dataset.pictures) == 1
    assert dataset.skipped == {"contempt": 2, "no emotion in its path": 1}


def test_kdef_names_say_the_emotion_and_the_person(tmp_path: Path) -> None:
    for name in ("AF01AFS.JPG", "BM35HAHL.jpg", "AM10SUFR.JPG"):
        put(tmp_path / name)
    found = {p.path.name: (EMOTIONS[p.label], p.person) for p in read_dataset(tmp_path).pictures}
    assert found == {
        "AF01AFS.JPG": ("fear", "F01"),
        "BM35HAHL.jpg": ("happiness", "M35"),
        "AM10SUFR.JPG": ("surprise", "M10"),
    }


def test_the_two_sessions_of_a_person_are_one_person(tmp_path: Path) -> None:
    put(tmp_path / "train" / "AF01AFS.JPG")
    put(tmp_path / "validation" / "BF01HAS.JPG")
    put(tmp_path / "strangers" / "BF02HAS.JPG")
    train, validation, strangers = (read_dataset(tmp_path / n) for n in ("train", "validation", "strangers"))
    with pytest.raises(DatasetError, match="F01"):
        refuse_shared_persons([train], [strangers, validation])
    refuse_shared_persons([train], [strangers])


@pytest.mark.parametrize("content", [None, "bored"])
def test_a_folder_without_any_of_the_emotions_is_refused(tmp_path: Path, content: str | None) -> None:
    if content:
        put(tmp_path / content / "a.png")
    with pytest.raises(DatasetError, match="no labelled picture found"):
        read_dataset(tmp_path)


def test_pictures_that_do_not_decode_or_are_in_validation_are_left_out_and_counted(tmp_path: Path) -> None:
    put(tmp_path / "validation" / "happy" / "a.png", seed=1)
    for seed in (1, 2, 3):
        put(tmp_path / "train" / "happy" / f"{seed}.bmp", seed)
    (tmp_path / "train" / "happy" / "broken.png").write_text("not a picture")
    validation = load_faces([read_dataset(tmp_path / "validation")], 32, "grey")
    train_set = read_dataset(tmp_path / "train")
    train = load_faces([train_set], 32, "grey", without=frozenset(validation.digests))
    assert train.pixels.shape == (2, 32, 32, 1)
    assert train_set.skipped == {"unreadable": 1, "also in validation": 1}


def test_a_set_of_which_nothing_can_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "broken.png").write_text("not a picture")
    with pytest.raises(DatasetError, match="1 unreadable"):
        load_faces([read_dataset(tmp_path)], 32, "grey")
