"""`training prepare`, from sources on disk to a set that training reads."""

import csv
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.cbook import get_sample_data
from skimage.data import astronaut

from tests.training.command_line import refusal, succeeded
from tests.training.drawn_faces import distinct_face, put_picture, write_distinct_faces
from training.datasets import DatasetError, load_faces, read_dataset
from training.preparing.cropping import choose_face, make_detector
from training.preparing.face import LARGEST_SIDE
from training.preparing.prepare import Preparation, prepare
from worker.contract.messages import EMOTIONS
from worker.perception.faces import FaceDetector
from worker.perception.preprocessing import face_crop

ROOT = Path(__file__).parents[3]

Pixels = npt.NDArray[np.uint8]


def refused(*arguments: str | Path) -> str:
    return refusal("prepare", *arguments)


def index(split: Path) -> list[dict[str, str]]:
    with (split / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def removed(out: Path) -> dict[str, tuple[str, str]]:
    """Origin -> reason, detail."""
    with (out / "removed.csv").open(newline="") as file:
        return {row["origin"]: (row["reason"], row["detail"]) for row in csv.DictReader(file)}


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """70 pictures in class folders, no two alike."""
    return write_distinct_faces(tmp_path / "web", each=10, first_seed=1)


def test_a_prepared_set_is_read_by_training_as_it_is(tmp_path: Path, web: Path) -> None:
    result = succeeded("prepare", web, "--out", tmp_path / "set", "--balance", "weights")
    train, validation = (read_dataset(tmp_path / "set" / split) for split in ("train", "validation"))
    assert (len(train.pictures), len(validation.pictures)) == (63, 7)
    faces = load_faces([train], 32, "grey")
    assert faces.votes.tolist() == np.eye(7)[faces.labels].tolist()
    assert set(faces.weights) == {1.0}
    assert "next: training fit" in result.stdout
    assert not removed(tmp_path / "set")


def test_the_index_holds_the_origin_of_every_picture(tmp_path: Path, web: Path) -> None:
    prepare(Preparation((web,)), tmp_path / "set")
    rows = index(tmp_path / "set" / "train")
    assert list(rows[0])[:6] == ["file", "emotion", "person", "source", "origin", "weight"]
    assert list(rows[0])[6:] == [f"votes_{emotion}" for emotion in EMOTIONS]
    for row in rows:
        kept = cv2.imread(str(tmp_path / "set" / "train" / row["file"]))
        original = cv2.imread(str(tmp_path / row["origin"]))
        assert kept is not None
        assert original is not None
        assert (kept == original).all()
        assert row["file"].startswith(f"{row['emotion']}/web-")
        assert row["origin"].startswith(f"web/{row['emotion']}/")


def test_the_same_pictures_make_the_same_set_in_any_folder_and_any_order(tmp_path: Path) -> None:
    sets = []
    for home, order in (("here", ("a", "b")), ("there", ("b", "a"))):
        for seed, name in enumerate(("a", "b")):
            write_distinct_faces(tmp_path / home / name, each=4, first_seed=1 + 10 * seed)
        prepare(Preparation(tuple(tmp_path / home / name for name in order)), tmp_path / home / "set")
        made = files(tmp_path / home / "set")
        assert made.pop("prepared.json")
        sets.append(made)
    assert sets[0] == sets[1]
    prepare(Preparation((tmp_path / "here" / "a",), seed=2), tmp_path / "other")
    prepare(Preparation((tmp_path / "here" / "a",), seed=3), tmp_path / "another")
    assert files(tmp_path / "other" / "validation") != files(tmp_path / "another" / "validation")


def test_every_picture_that_is_of_no_use_is_removed_with_a_reason(tmp_path: Path, web: Path) -> None:
    def put(name: str, pixels: Pixels) -> None:
        put_picture(web / name, pixels)

    (web / "fear" / "broken.png").write_text("not a picture")
    put("fear/blank.png", np.full((48, 48, 3), 99, np.uint8))
    put("fear/dark.png", (distinct_face("fear", 999) // 20 + 40).astype(np.uint8))
    put("contempt/a.png", distinct_face("fear", 998))
    put("bored/b.png", distinct_face("fear", 997))
    put("sleepy/c.png", distinct_face("fear", 996))
    shutil.copy(web / "anger" / "3.png", web / "anger" / "copy.png")
    shutil.copy(web / "disgust" / "3.png", web / "sadness" / "disputed.png")
    put("neutral/reduced.jpg", cv2.resize(distinct_face("neutral", 608), (40, 40)).astype(np.uint8))
    validation = tmp_path / "measured"
    put_picture(validation / "anger" / "a.png", distinct_face("anger", 1))

    result = succeeded("prepare", web, "--validation", validation, "--out", tmp_path / "set")
    assert removed(tmp_path / "set") == {
        "web/fear/broken.png": ("unreadable", ""),
        "web/fear/blank.png": ("blank", "standard deviation 0.0 grey levels"),
        "web/contempt/a.png": ("contempt", "contempt"),
        "web/bored/b.png": ("no emotion in its path", "bored"),
        "web/sleepy/c.png": ("no emotion in its path", "sleepy"),
        "web/anger/copy.png": ("duplicate", "equals web/anger/3.png"),
        "web/disgust/3.png": ("conflicting labels", "equals web/sadness/disputed.png"),
        "web/sadness/disputed.png": ("conflicting labels", "equals web/disgust/3.png"),
        "web/neutral/reduced.jpg": ("near-duplicate", "looks like web/neutral/7.png"),
        "web/anger/0.png": ("also in validation", "equals measured/anger/a.png"),
    }
    assert all(
        word in result.stdout for word in ("10 pictures removed", "unreadable", "in bored, sleepy", "near-duplicate")
    )
    kept = {row["origin"] for split in ("train", "validation") for row in index(tmp_path / "set" / split)}
    assert "web/fear/dark.png" in kept
    assert not kept & set(removed(tmp_path / "set"))
    assert len(kept) + 10 == 70 + 9 + 1


def test_published_splits_are_kept_and_test_is_a_split_of_its_own(tmp_path: Path, web: Path) -> None:
    other = write_distinct_faces(tmp_path / "fer" / "test", each=1, first_seed=1001)
    write_distinct_faces(tmp_path / "fer" / "train", each=2, first_seed=2001)
    measured = write_distinct_faces(tmp_path / "measured", each=1, first_seed=3001)
    prepared = prepare(Preparation((other.parent,), (web,), (measured,)), tmp_path / "set")
    assert prepared.sources == {
        "fer": {"train": 7, "validation": 7, "test": 7},
        "measured": {"test": 7},
        "web": {"validation": 70},
    }
    assert {split: sum(counts.values()) for split, counts in prepared.counts.items()} == {
        "train": 7,
        "validation": 77,
        "test": 14,
    }
    assert len(read_dataset(tmp_path / "set" / "test").pictures) == 14


def fer2013_with_votes(folder: Path) -> tuple[Path, Path]:
    """The csv with 20 rows of fear, and FER+ votes by which row 3 is no face and row 4 displays surprise and fear."""
    rows, votes = [["emotion", "pixels", "Usage"]], []
    for row in range(20):
        pixels = distinct_face("fear", row)[..., 0].ravel().tolist()
        rows.append(["2", " ".join(map(str, pixels)), "Training" if row < 15 else "PublicTest"])
        votes.append([str(row), *(["3", "0", "0", "0", "0", "0", "7", "0", "0", "0"])])
    votes[3][1:] = ["0", "0", "0", "0", "0", "0", "0", "0", "0", "10"]
    votes[4][1:] = ["0", "0", "6", "0", "0", "0", "2", "1", "1", "0"]
    counts = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
    for name, written in (("fer2013.csv", rows), ("ferplus.csv", [["row", *counts], *votes])):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows(written)
    return folder / "fer2013.csv", folder / "ferplus.csv"


def test_votes_reach_training_with_their_pictures(tmp_path: Path) -> None:
    source, votes = fer2013_with_votes(tmp_path)
    succeeded("prepare", source, "--votes", votes, "--out", tmp_path / "set")
    assert removed(tmp_path / "set") == {"fer2013.csv/00003": ("not a face", "10 voted so")}
    rows = {row["origin"]: row for row in index(tmp_path / "set" / "train")}
    assert len(rows) == 14
    assert rows["fer2013.csv/00004"]["votes_surprise"] == "6"
    faces = load_faces([read_dataset(tmp_path / "set" / "train")], 48, "grey")
    assert faces.votes.sum(axis=1).tolist() == pytest.approx([1] * 14)
    shares = Counter(tuple(round(float(share), 2) for share in row) for row in faces.votes)
    assert shares == {(0, 0, 0.7, 0, 0, 0, 0.3): 13, (0, 0, 0.25, 0, 0, 0.75, 0): 1}
    # A prepared set is a source like any other, and keeps persons, votes and origins.
    prepare(Preparation((tmp_path / "set",)), tmp_path / "again")
    for split in ("train", "validation"):
        assert files(tmp_path / "again" / split) == files(tmp_path / "set" / split)


def test_the_cap_and_the_weights_balance_training_only(tmp_path: Path, web: Path) -> None:
    for i in range(5, 10):
        (web / "anger" / f"{i}.png").unlink()
    measured = write_distinct_faces(tmp_path / "measured", each=9, first_seed=5001)
    balanced = ("--cap", "8", "--balance", "weights", "--out", tmp_path / "set")
    succeeded("prepare", web, "--validation", measured, "--validation-share", "0", *balanced)
    train, validation = index(tmp_path / "set" / "train"), index(tmp_path / "set" / "validation")
    assert Counter(row["emotion"] for row in train) == {e: 5 if e == "anger" else 8 for e in EMOTIONS}
    assert Counter(row["emotion"] for row in validation) == dict.fromkeys(EMOTIONS, 9)
    totals = [sum(float(row["weight"]) for row in train if row["emotion"] == emotion) for emotion in EMOTIONS]
    assert totals == pytest.approx([len(train) / 7] * 7, rel=1e-4)
    assert {row["weight"] for row in validation} == {"1"}
    assert Counter(reason for reason, _ in removed(tmp_path / "set").values()) == {"over the cap": 12}


@pytest.fixture(scope="module")
def astronaut_bgr() -> Pixels:
    return np.asarray(cv2.cvtColor(astronaut(), cv2.COLOR_RGB2BGR), np.uint8)


@pytest.fixture(scope="module")
def admiral_bgr() -> Pixels:
    image = cv2.imread(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    assert image is not None
    return np.asarray(image, np.uint8)


def portraits(folder: Path, *pictures: Pixels) -> Path:
    for i, pixels in enumerate(pictures):
        put_picture(folder / "happy" / f"{i}.png", pixels)
    return folder


def test_training_gets_the_crop_that_the_worker_makes(
    tmp_path: Path, astronaut_bgr: Pixels, admiral_bgr: Pixels
) -> None:
    wall = np.random.default_rng(1).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    source = portraits(tmp_path / "portraits", astronaut_bgr, admiral_bgr, wall)
    prepare(Preparation((source,), validation_share=0.5, find_faces=True), tmp_path / "set")
    assert removed(tmp_path / "set") == {"portraits/happy/2.png": ("no face", "")}
    (row,) = index(tmp_path / "set" / "train")
    original = astronaut_bgr if row["origin"].endswith("0.png") else admiral_bgr
    (face,) = FaceDetector().detect_in_picture(original)
    served = face_crop(original, face.box)
    kept = cv2.imread(str(tmp_path / "set" / "train" / row["file"]))
    assert kept is not None
    assert max(kept.shape[:2]) <= LARGEST_SIDE
    expected = cv2.resize(served, kept.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert (kept == expected).all()


def test_faces_of_kdef_are_detected_without_an_option(
    tmp_path: Path, astronaut_bgr: Pixels, admiral_bgr: Pixels
) -> None:
    put_picture(tmp_path / "kdef" / "AF01" / "AF01HAS.png", astronaut_bgr)
    put_picture(tmp_path / "kdef" / "AM02" / "AM02NES.png", admiral_bgr)
    prepared = prepare(Preparation((tmp_path / "kdef",), detector="haar"), tmp_path / "set")
    assert {split: sum(counts.values()) for split, counts in prepared.counts.items()} == {"train": 1, "validation": 1}
    for split in ("train", "validation"):
        (picture,) = read_dataset(tmp_path / "set" / split).pictures
        image = picture.pixels()
        assert image is not None
        assert image.shape[0] == image.shape[1] <= LARGEST_SIDE


def test_haar_frames_a_face_as_the_worker_does(astronaut_bgr: Pixels, admiral_bgr: Pixels) -> None:
    for image in (astronaut_bgr, admiral_bgr):
        boxes = [choose_face(make_detector(detector)(image), None) for detector in ("haar", "mediapipe")]
        haar, blazeface = (np.array(box) for box in boxes)
        assert haar[2] / blazeface[2] == pytest.approx(1, abs=0.3)
        middles = [box[:2] + box[2:] / 2 for box in (haar, blazeface)]
        assert np.abs(middles[0] - middles[1]).max() < 0.2 * blazeface[2]


def test_the_labelled_face_is_the_one_at_the_published_box() -> None:
    small, large = (10.0, 10.0, 20.0, 20.0), (100.0, 10.0, 50.0, 50.0)
    assert choose_face([small, large], None) == large
    assert choose_face([small, large], (0, 0, 40, 40)) == small
    assert choose_face([large], (0, 0, 40, 40)) is None
    assert choose_face([], None) is None


def test_the_same_call_leaves_the_set_as_it_is_and_another_one_is_refused(tmp_path: Path, web: Path) -> None:
    out = tmp_path / "set"
    first = prepare(Preparation((web,)), out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert prepare(Preparation((web,)), out) == first
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert "prepared with other cap, seed" in refused(web, "--out", out, "--seed", "2", "--cap", "3")
    put_picture(web / "fear" / "new.png", distinct_face("fear", 999))
    assert "prepared with other pictures" in refused(web, "--out", out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert "holds something else" in refused(web, "--out", web.parent)
    assert "lies in the source" in refused(web, "--out", web / "set")
    (tmp_path / "file").write_text("")
    assert "holds something else" in refused(web, "--out", tmp_path / "file")


KILLED = """
import os, signal, sys
from training.preparing import prepared_set
from training.cli import app

def die(path, removed):
    os.kill(os.getpid(), signal.SIGKILL)

prepared_set._write_removed = die
app()
"""


def test_a_kill_leaves_no_set_and_the_same_command_makes_it(tmp_path: Path, web: Path) -> None:
    out = tmp_path / "set"
    command = [sys.executable, "-c", KILLED, "prepare", str(web), "--out", str(out)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not out.exists()
    left = tmp_path / ".set.unfinished"
    assert (left / "train" / "index.csv").exists()
    put_picture(left / "train" / "fear" / "stale.png", distinct_face("fear", 1))
    succeeded("prepare", web, "--out", out)
    prepare(Preparation((web,)), tmp_path / "fresh")
    assert files(out) == files(tmp_path / "fresh")
    assert not left.exists()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A disk with room for five files."""
    room = iter(range(5))
    write = Path.write_bytes

    def write_if_room(path: Path, content: bytes) -> int:
        if next(room, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_if_room)
        yield


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, web: Path) -> None:
    assert "No space left on device; nothing was written" in refused(web, "--out", tmp_path / "sets" / "set")
    assert not list((tmp_path / "sets").iterdir())


def test_only_one_process_at_a_time_prepares_a_set(tmp_path: Path, web: Path) -> None:
    other = tmp_path / ".set.unfinished"
    other.mkdir()
    (other / "theirs").touch()
    handle = os.open(other, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        assert "another `training prepare` is writing it" in refused(web, "--out", tmp_path / "set")
        assert (other / "theirs").exists()
    finally:
        os.close(handle)
    succeeded("prepare", web, "--out", tmp_path / "set")


def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, web: Path) -> None:
    out = tmp_path / "out"
    empty = tmp_path / "empty"
    empty.mkdir()
    unknown = tmp_path / "unknown"
    put_picture(unknown / "bored" / "a.png", distinct_face("fear", 1))
    unreadable = tmp_path / "unreadable"
    (unreadable / "happy").mkdir(parents=True)
    (unreadable / "happy" / "a.png").write_text("not a picture")
    broken = tmp_path / "fer2013.csv"
    broken.write_text("emotion,pixels,Usage\n7,1 2 3 4,Training\n")
    for source, complaint in (
        (tmp_path / "nowhere", "no such file or folder"),
        (empty, "no face data in a known layout"),
        (unknown, "1 no emotion in its path: bored"),
        (unreadable, "none of its pictures can be trained on"),
        (broken, "fer2013.csv, row 0: emotion '7'"),
    ):
        line = refused(source, "--validation", web, "--out", out)
        assert complaint in line
        assert str(source) in line
    assert "no picture for validation" in refused(web, "--validation-share", "0", "--out", out)
    assert not out.exists()


def test_validation_that_has_a_person_of_training_is_refused_at_once(tmp_path: Path) -> None:
    for seed, name in enumerate(("train/fear/S010_001_00000001", "train/fear/S011_001_00000001")):
        put_picture(tmp_path / f"{name}.png", distinct_face("fear", seed))
    put_picture(tmp_path / "measured" / "fear" / "S010_002_00000001.png", distinct_face("fear", 9))
    line = refused(tmp_path / "train", "--validation", tmp_path / "measured", "--out", tmp_path / "set")
    assert "1 of its persons are in the training data too (ckplus:S010)" in line
    line = refused(tmp_path / "train", "--test", tmp_path / "measured", "--out", tmp_path / "set")
    assert str(tmp_path / "measured") in line


def test_a_prepared_set_with_a_missing_picture_is_refused_as_a_source(tmp_path: Path, web: Path) -> None:
    prepare(Preparation((web,)), tmp_path / "set")
    gone = tmp_path / "set" / "train" / index(tmp_path / "set" / "train")[3]["file"]
    gone.unlink()
    assert f"names {gone.parent.name}/{gone.name}, which is not there" in refused(
        tmp_path / "set", "--out", tmp_path / "again"
    )
    (tmp_path / "set" / "prepared.json").write_text("{")
    with pytest.raises(DatasetError, match=r"prepared\.json: .*prepare it anew"):
        prepare(Preparation((web,)), tmp_path / "set")


def test_preparing_loads_no_tensorflow(tmp_path: Path, astronaut_bgr: Pixels, admiral_bgr: Pixels) -> None:
    source = portraits(tmp_path / "portraits", astronaut_bgr, admiral_bgr)
    program = (
        "import sys\nfrom training.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "assert not {'tensorflow', 'keras', 'mediapipe'} & set(sys.modules)"
    )
    arguments = ["prepare", str(source), "--find-faces", "--validation-share", "0.5", "--out", str(tmp_path / "set")]
    run = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
