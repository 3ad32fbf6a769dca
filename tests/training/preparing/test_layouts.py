"""Small copies of published face data: how each layout is recognised and read."""

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.training.drawn_faces import distinct_face, put_picture
from training.datasets import DatasetError, LabelledPicture
from training.preparing.layouts import layout_of, read_source
from training.preparing.record import Record
from training.preparing.votes import read_votes, with_votes
from worker.contract.messages import EMOTIONS


def put(path: Path, seed: int = 1) -> Path:
    return put_picture(path, distinct_face("happiness", seed))


def write_csv(path: Path, header: str, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def labels_of(records: list[Record]) -> dict[str, tuple[str, str | None, str | None]]:
    """Origin -> emotion, person, split."""
    return {r.origin: (r.emotion, r.person, r.split) for r in records}


def test_class_folders_hold_the_emotion_and_folders_above_them_the_split(tmp_path: Path) -> None:
    root = tmp_path / "fer2013"
    for file in ("train/angry/00001.png", "public_test/happy/28709.png", "PrivateTest/sad/32300.png"):
        put(root / file)
    assert labels_of(read_source(root)[0]) == {
        "fer2013/train/angry/00001.png": ("anger", None, "train"),
        "fer2013/public_test/happy/28709.png": ("happiness", None, "validation"),
        "fer2013/PrivateTest/sad/32300.png": ("sadness", None, "test"),
    }


def test_a_published_split_that_is_read_alone_has_no_split_and_keeps_the_name_of_its_set(tmp_path: Path) -> None:
    put(tmp_path / "fer2013" / "train" / "angry" / "00001.png")
    ((record,), _) = read_source(tmp_path / "fer2013" / "train")
    assert (record.source, record.split, record.row) == ("fer2013", None, 1)
    assert record.origin == "fer2013/train/angry/00001.png"


def test_names_of_ckplus48_hold_the_person(tmp_path: Path) -> None:
    put(tmp_path / "ckplus48" / "fear" / "S010_006_00000015.png")
    put(tmp_path / "ckplus48" / "contempt" / "S138_008_00000007.png")
    records, removed = read_source(tmp_path / "ckplus48")
    assert labels_of(records) == {"ckplus48/fear/S010_006_00000015.png": ("fear", "ckplus:S010", None)}
    assert [(r.reason, r.detail) for r in removed] == [("contempt", "contempt")]


def test_kdef_as_published_is_read_by_the_names_of_its_files(tmp_path: Path) -> None:
    root = tmp_path / "KDEF"
    for name in ("AF01/AF01AFS.JPG", "BF01/BF01NEHL.JPG", "AM35/AM35SUFR.JPG"):
        put(root / name)
    shutil.copy(root / "AF01" / "AF01AFS.JPG", root / "AF01" / "AF01XXS.JPG")
    records, removed = read_source(root)
    assert labels_of(records) == {
        "KDEF/AF01/AF01AFS.JPG": ("fear", "kdef:F01", None),
        "KDEF/BF01/BF01NEHL.JPG": ("neutral", "kdef:F01", None),
        "KDEF/AM35/AM35SUFR.JPG": ("surprise", "kdef:M35", None),
    }
    assert all(record.whole for record in records)
    assert [(r.reason, r.detail) for r in removed] == [("not a name of KDEF", "AF01XXS")]


@pytest.mark.parametrize("header", ["emotion,pixels,Usage", "emotion, Usage, pixels"])
def test_kaggles_csv_of_fer2013_is_read_in_each_of_its_spellings(tmp_path: Path, header: str) -> None:
    columns = [column.strip() for column in header.split(",")]
    rows = [
        {"emotion": "0", "Usage": "Training", "pixels": "1 2 3 4"},
        {"emotion": "6", "Usage": "PublicTest", "pixels": "5 6 7 255"},
        {"emotion": "3", "Usage": "PrivateTest", "pixels": "9 9 9 9"},
        {"emotion": "3", "Usage": "Training", "pixels": "9 9 9 256"},
        {"emotion": "3", "Usage": "Training", "pixels": "9 9 9"},
    ]
    name = "fer2013.csv" if "pixels,Usage" in header else "icml_face_data.csv"
    path = write_csv(tmp_path / name, header, *(",".join(row[column] for column in columns) for row in rows))
    for source in (path, tmp_path):
        records, removed = read_source(source)
        assert labels_of(records) == {
            f"{name}/00000": ("anger", None, "train"),
            f"{name}/00001": ("neutral", None, "validation"),
            f"{name}/00002": ("happiness", None, "test"),
        }
        assert [record.row for record in records] == [0, 1, 2]
        assert [(r.origin, r.reason) for r in removed] == [
            (f"{name}/00003", "unreadable"),
            (f"{name}/00004", "unreadable"),
        ]
    pixels = records[1].pixels()
    assert pixels is not None
    assert pixels.tolist() == [[[5] * 3, [6] * 3], [[7] * 3, [255] * 3]]


@pytest.mark.parametrize("row", ["9,1 2 3 4,Training", "happy,1 2 3 4,Training", "3,1 2 3 4,Sometimes", ""])
def test_a_csv_with_other_content_is_refused_with_the_row(tmp_path: Path, row: str) -> None:
    path = write_csv(tmp_path / "fer2013.csv", "emotion,pixels,Usage", "3,1 2 3 4,Training", row or ",,")
    with pytest.raises(DatasetError, match=r"fer2013\.csv, row 1: emotion"):
        read_source(path)


def test_raf_db_as_published(tmp_path: Path) -> None:
    root = tmp_path / "rafdb" / "basic"
    names = [f"train_0000{i}" for i in range(1, 8)] + ["test_0001", "train_00009"]
    labels = [f"{name}.jpg {i % 7 + 1}" for i, name in enumerate(names)]
    write_csv(root / "EmoLabel" / "list_patition_label.txt", *labels)
    for name in names[:-1]:
        put(root / "Image" / "aligned" / f"{name}_aligned.jpg")
    for source in (root, root.parent):
        records, removed = read_source(source)
        emotions = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral", "surprise")
        assert [r.emotion for r in records] == list(emotions)
        assert [r.split for r in records] == ["train"] * 7 + ["test"]
        assert {r.source for r in records} == {"rafdb"}
        assert not any(r.whole for r in records)
        (missing,) = removed
        assert missing.origin.endswith("basic/Image/aligned/train_00009_aligned.jpg")
        assert (missing.reason, missing.detail) == ("unreadable", "listed, but not there")


def test_ckplus_as_published_gives_the_peak_and_the_neutral_first_frame(tmp_path: Path) -> None:
    root = tmp_path / "CK+"
    surprise, contempt, unlabelled = "7.0000000e+00", "2.0000000e+00", ""
    for sequence, last, code in (("S010/002", 14, surprise), ("S011/001", 3, contempt), ("S012/001", 5, unlabelled)):
        stem = sequence.replace("/", "_")
        for frame in (1, 2, last):
            put(root / "cohn-kanade-images" / sequence / f"{stem}_{frame:08d}.png")
        if code:
            write_csv(root / "Emotion" / sequence / f"{stem}_{last:08d}_emotion.txt", f"   {code}")
    records, removed = read_source(root)
    assert labels_of(records) == {
        "CK+/cohn-kanade-images/S010/002/S010_002_00000014.png": ("surprise", "ckplus:S010", None),
        "CK+/cohn-kanade-images/S010/002/S010_002_00000001.png": ("neutral", "ckplus:S010", None),
        "CK+/cohn-kanade-images/S011/001/S011_001_00000001.png": ("neutral", "ckplus:S011", None),
    }
    assert all(record.whole for record in records)
    assert [(Path(r.origin).stem, r.reason) for r in removed] == [("S011_001_00000003", "contempt")]


@pytest.mark.parametrize("code", ["-1.0", "8", "inf", "surprise"])
def test_a_broken_label_of_ckplus_is_refused(tmp_path: Path, code: str) -> None:
    put(tmp_path / "cohn-kanade-images" / "S010" / "002" / "S010_002_00000014.png")
    write_csv(tmp_path / "Emotion" / "S010" / "002" / "S010_002_00000014_emotion.txt", code)
    with pytest.raises(DatasetError, match=r"_emotion\.txt: not a number from 0 to 7"):
        read_source(tmp_path)


AFFECTNET = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"


def affectnet(root: Path, header: bool = True) -> Path:
    """Manually annotated: one picture of every expression in training, one in validation; one automatically."""
    rows = [f"1/{code}.jpg,10,20,30,40,1.0;2.0,{code},0.1,-0.2" for code in range(11)]
    for code in range(11):
        put(root / "Manually_Annotated_Images" / "1" / f"{code}.jpg")
    put(root / "Manually_Annotated_Images" / "2" / "v.png")
    put(root / "Automatically_Annotated_Images" / "3" / "a.jpg")
    write_csv(root / "training.csv", AFFECTNET, *rows, "1/gone.jpg,10,20,30,40,1.0;2.0,0,0.1,-0.2")
    validation = "2/v.png,0,0,0,0,,1,-2,-2"
    write_csv(root / "Lists" / "validation.csv", *([AFFECTNET, validation] if header else [validation]))
    write_csv(root / "Lists" / "automatically_annotated.csv", AFFECTNET, "3/a.jpg,NULL,NULL,NULL,NULL,,5,-2,-2")
    return root


@pytest.mark.parametrize("header", [True, False])
def test_affectnet_as_published(tmp_path: Path, header: bool) -> None:
    records, removed = read_source(affectnet(tmp_path / "AffectNet", header))
    *training, validation, automatic = records
    expected = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")
    assert [r.emotion for r in training] == list(expected)
    assert {(r.split, r.face) for r in training} == {("train", (10, 20, 30, 40))}
    assert (validation.emotion, validation.split, validation.face) == ("happiness", "validation", None)
    assert (automatic.emotion, automatic.split, automatic.face) == ("disgust", "train", None)
    assert all(r.whole for r in records)
    assert [r.reason for r in removed] == ["contempt", "none", "uncertain", "not a face", "unreadable"]


@pytest.mark.parametrize("row", ["1/x.jpg,10,20", "/data/1/x.jpg,10,20,30,40,1.0;2.0,0,0.1,-0.2"])
def test_a_broken_list_of_affectnet_is_refused_with_the_line(tmp_path: Path, row: str) -> None:
    root = affectnet(tmp_path / "AffectNet")
    with (root / "training.csv").open("a") as file:
        file.write(f"{row}\n")
    with pytest.raises(DatasetError, match=r"training\.csv, line 14: not subDirectory_filePath"):
        read_source(root)


@pytest.mark.parametrize(
    ("folder", "complaint"),
    [
        ("Manually_Annotated_Images", "no training.csv"),
        ("cohn-kanade-images", r"no Emotion/S\*"),
        ("EmoLabel", "aligned: no such folder"),
    ],
)
def test_an_incomplete_set_is_refused(tmp_path: Path, folder: str, complaint: str) -> None:
    put(tmp_path / folder / "a.png")
    (tmp_path / folder / "list_patition_label.txt").write_text("train_00001.jpg 1\n")
    with pytest.raises(DatasetError, match=complaint):
        read_source(tmp_path)


def test_a_source_without_face_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        layout_of(tmp_path / "nowhere")
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    (tmp_path / "dump.csv").write_text("one line without commas " * 10_000)
    for source in (tmp_path, tmp_path / "notes.csv", tmp_path / "dump.csv"):
        with pytest.raises(DatasetError, match="no face data in a known layout; the layouts are a prepared set"):
            layout_of(source)


def test_a_folder_with_unknown_classes_only_is_refused_and_they_are_named(tmp_path: Path) -> None:
    for name in ("bored", "contempt"):
        put(tmp_path / name / "a.png")
    with pytest.raises(DatasetError, match=r"no picture labelled .*1 no emotion in its path: bored; 1 contempt"):
        read_source(tmp_path)


def record(row: int | None) -> Record:
    return Record("fer2013", f"fer2013/{row}", np.zeros((2, 2), np.uint8), "fear", row=row)


COUNTS = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (f"Usage,Image name,{COUNTS}", ["Training,a.png,4,0,0,1,3,2,0,0,0,0", "Training,,0,0,0,0,0,0,0,0,0,10"]),
        (f"row,{COUNTS}", ["1,0,0,0,0,0,0,0,0,0,10", "0,4,0,0,1,3,2,0,0,0,0", "2,0,0,0,0,0,0,0,6,4,0"]),
    ],
)
def test_votes_are_assigned_by_row(tmp_path: Path, header: str, rows: list[str]) -> None:
    path = write_csv(tmp_path / "votes.csv", header, *rows)
    voted, removed = with_votes([record(0), record(1), record(2), record(None)], read_votes(path), path)
    assert [r.origin for r in voted] == ["fer2013/0", "fer2013/2", "fer2013/None"]
    first = voted[0].votes
    assert first is not None
    expected = {"anger": 3, "disgust": 2, "sadness": 1, "neutral": 4}
    assert dict(zip(EMOTIONS, first, strict=True)) == {emotion: expected.get(emotion, 0) for emotion in EMOTIONS}
    assert [r.votes for r in voted[1:]] == [None, None]
    assert [(r.origin, r.reason, r.detail) for r in removed] == [("fer2013/1", "not a face", "10 voted so")]


def test_votes_without_a_picture_and_broken_votes_are_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "votes.csv", f"row,{COUNTS}", "7,4,0,0,1,3,2,0,0,0,0")
    with pytest.raises(DatasetError, match="none of the pictures has votes"):
        with_votes([record(0)], read_votes(path), path)
    with pytest.raises(DatasetError, match="line 2"):
        read_votes(write_csv(path, f"row,{COUNTS}", "7,4,many,0,1,3,2,0,0,0,0"))
    with pytest.raises(DatasetError, match="no column 'NF'"):
        read_votes(write_csv(path, "row,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown"))
    with pytest.raises(DatasetError, match="No such file"):
        read_votes(tmp_path / "nowhere.csv")


def test_a_jpeg_that_is_cut_off_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    _, whole = cv2.imencode(".jpg", distinct_face("fear", seed=1, side=96))
    for content, readable in ((whole.tobytes(), True), (whole.tobytes()[: len(whole) // 2], False), (b"", False)):
        path.write_bytes(content)
        assert (Record("web", "a", path, "fear").pixels() is not None) == readable
        assert (LabelledPicture(path, 0).pixels() is not None) == readable


def test_an_empty_csv_has_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text("")
    with pytest.raises(DatasetError):
        read_source(tmp_path)


def test_a_csv_is_recognised_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["emotion", "pixels"], ["3", "1 2 3 4"]])
    ((found,), _) = read_source(path)
    assert (found.emotion, found.split, found.row) == ("happiness", None, 0)
