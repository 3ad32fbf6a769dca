from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.drawn_faces import draw_face, put_picture, write_faces
from training.datasets import DatasetError, by_source, load_faces, read_dataset, refuse_shared_persons
from training.datasets.index import COLUMNS, INDEX, Entry, read_index, write_index
from worker.contract.messages import EMOTIONS


def put(path: Path, seed: int = 1) -> Path:
    return put_picture(path, draw_face("happiness", seed))


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
def test_a_folder_may_have_the_name_of_a_class_in_public_sets(tmp_path: Path, folder: str, emotion: str) -> None:
    put(tmp_path / folder / "a.png")
    (picture,) = read_dataset(tmp_path).pictures
    assert EMOTIONS[picture.label] == emotion


def test_contempt_and_unknown_folders_are_left_out_and_counted(tmp_path: Path) -> None:
    for folder in ("happy", "contempt", "contempt", "bored"):
        put(tmp_path / folder / f"{len(list(tmp_path.rglob('*.png')))}.png")
    dataset = read_dataset(tmp_path)
    assert len(dataset.pictures) == 1
    assert dataset.skipped == {"contempt": 2, "no emotion in its path": 1}


def test_names_of_kdef_hold_emotion_and_person(tmp_path: Path) -> None:
    for name in ("AF01AFS.JPG", "BM35HAHL.jpg", "AM10SUFR.JPG"):
        put(tmp_path / name)
    found = {p.path.name: (EMOTIONS[p.label], p.person) for p in read_dataset(tmp_path).pictures}
    assert found == {
        "AF01AFS.JPG": ("fear", "kdef:F01"),
        "BM35HAHL.jpg": ("happiness", "kdef:M35"),
        "AM10SUFR.JPG": ("surprise", "kdef:M10"),
    }


def test_the_two_sessions_of_a_person_are_one_person(tmp_path: Path) -> None:
    put(tmp_path / "train" / "AF01AFS.JPG")
    put(tmp_path / "validation" / "BF01HAS.JPG")
    put(tmp_path / "strangers" / "BF02HAS.JPG")
    train, validation, strangers = (read_dataset(tmp_path / n) for n in ("train", "validation", "strangers"))
    with pytest.raises(DatasetError, match="kdef:F01"):
        refuse_shared_persons([train], [strangers, validation])
    refuse_shared_persons([train], [strangers])


def test_names_of_ckplus_hold_the_person_and_two_sets_have_no_person_in_common(tmp_path: Path) -> None:
    put(tmp_path / "train" / "fear" / "S010_006_00000015.png")
    put(tmp_path / "same" / "anger" / "S010_004_00000019.png")
    indexed_set(tmp_path / "other", Entry("fear/a.png", "fear", "jaffe:S010", "jaffe", "jaffe/a.png"))
    train, same, other = (read_dataset(tmp_path / name) for name in ("train", "same", "other"))
    assert train.pictures[0].person == "ckplus:S010"
    with pytest.raises(DatasetError, match=r"same: 1 of its persons .*ckplus:S010"):
        refuse_shared_persons([train], [other, same])
    refuse_shared_persons([train], [other])


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


def test_a_set_without_a_usable_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "broken.png").write_text("not a picture")
    with pytest.raises(DatasetError, match="1 unreadable"):
        load_faces([read_dataset(tmp_path)], 32, "grey")


def indexed_set(folder: Path, *entries: Entry) -> Path:
    """A split of a prepared set, with a picture for every entry."""
    for seed, entry in enumerate(entries):
        put(folder / entry.file, seed)
    write_index(folder, entries)
    return folder


VOTES = (0.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0)


def test_an_index_counts_more_than_the_names_of_folders(tmp_path: Path) -> None:
    voted = Entry("pictures/b.png", "fear", "kdef:F01", "kdef", "kdef/AF01AFS.JPG", 2.5, VOTES)
    indexed_set(tmp_path, voted, Entry("happy/a.png", "anger", None, "web", "web/a.png"))
    put(tmp_path / "happy" / "not in the index.png")
    dataset = read_dataset(tmp_path)
    first, second = dataset.pictures
    assert (first.path, EMOTIONS[first.label], first.person) == (tmp_path / "happy" / "a.png", "anger", None)
    assert (first.weight, first.votes) == (1, None)
    assert (EMOTIONS[second.label], second.person, second.weight) == ("fear", "kdef:F01", 2.5)
    assert second.votes == (0, 0, 0.75, 0, 0.25, 0, 0)
    faces = load_faces([dataset], 32, "grey")
    assert faces.votes.dtype == faces.weights.dtype == np.float32
    assert faces.votes.tolist() == [[1, 0, 0, 0, 0, 0, 0], [0, 0, 0.75, 0, 0.25, 0, 0]]
    assert faces.weights.tolist() == [1, 2.5]


letters = st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_categories=["Cc"]) | st.sampled_from("\u2028😀")
names = st.text(letters, min_size=1, max_size=12)
entries = st.builds(
    Entry,
    file=names,
    emotion=st.sampled_from(EMOTIONS),
    person=st.none() | names,
    source=names,
    origin=names,
    weight=st.integers(0, 10_000).map(lambda hundredths: hundredths / 100),
    votes=st.none() | st.tuples(*[st.integers(0, 10).map(float)] * 7).filter(any),
)


@settings(max_examples=50)
@given(st.lists(entries, max_size=4, unique_by=lambda entry: entry.file), st.randoms(use_true_random=False))
def test_an_index_is_read_as_it_was_written_and_does_not_depend_on_the_order(some: list[Entry], random: Random) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "is_file", lambda path: True)
        write_index(Path(folder), some)
        written = (Path(folder) / INDEX).read_bytes()
        assert read_index(Path(folder)) == sorted(some, key=lambda entry: entry.file)
        random.shuffle(some)
        write_index(Path(folder), some)
        assert (Path(folder) / INDEX).read_bytes() == written


def test_an_index_that_names_a_missing_file_is_refused(tmp_path: Path) -> None:
    indexed_set(tmp_path, Entry("fear/a.png", "fear", None, "web", "web/a.png"))
    (tmp_path / "fear" / "a.png").unlink()
    with pytest.raises(DatasetError, match=r"index\.csv: names fear/a\.png, which is not there"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("a.png,bored,,web,a,1,,,,,,,", "line 2: emotion 'bored'"),
        ("a.png,fear,,web,a,much,,,,,,,", "line 2: weight 'much'"),
        ("a.png,fear,,web,a,-1,,,,,,,", "line 2: weight '-1'"),
        ("a.png,fear,,web,a,nan,,,,,,,", "line 2: weight 'nan'"),
        ("a.png,fear,,web,a,1,0,0,0,0,0,0,0", "line 2: .*votes"),
        ("a.png,fear,,web,a,1,3,,,,,,", "line 2: .*votes"),
        ("a.png,fear", "line 2"),
        ("a.png,fear,,web,a,1,,,,,,,\0", "index.csv"),
    ],
)
def test_a_broken_index_is_refused_with_the_line(tmp_path: Path, row: str, complaint: str) -> None:
    put(tmp_path / "a.png")
    (tmp_path / INDEX).write_text(",".join(COLUMNS) + f"\n{row}\n")
    with pytest.raises(DatasetError, match=complaint):
        read_dataset(tmp_path)


def test_an_index_with_other_columns_without_rows_or_without_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text("file,label\na.png,3\n")
    with pytest.raises(DatasetError, match=r"index\.csv: no column 'emotion'"):
        read_dataset(tmp_path)
    write_index(tmp_path, [])
    with pytest.raises(DatasetError, match="no labelled picture found"):
        read_dataset(tmp_path)
    (tmp_path / INDEX).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match=r"index\.csv: "):
        read_dataset(tmp_path)


def test_a_whole_prepared_set_is_refused_and_its_splits_are_named(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        indexed_set(tmp_path / split, Entry("fear/a.png", "fear", None, "web", "web/a.png"))
    with pytest.raises(DatasetError, match="a prepared set; name one of its parts, train or validation"):
        read_dataset(tmp_path)


def test_a_split_can_be_divided_into_the_sets_it_was_made_of(tmp_path: Path) -> None:
    write_faces(tmp_path, each=2, first_seed=1)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png"))
    write_index(
        tmp_path,
        [Entry(file, "fear", None, ("kdef", "fer2013")[i % 2], file) for i, file in enumerate(files)],
    )
    parts = by_source(read_dataset(tmp_path))
    assert [part.name for part in parts] == [f"{tmp_path}/fer2013", f"{tmp_path}/kdef"]
    assert [len(part.pictures) for part in parts] == [7, 7]
    assert {picture.source for picture in parts[1].pictures} == {"kdef"}


def test_a_folder_of_classes_is_one_set(tmp_path: Path) -> None:
    write_faces(tmp_path, each=1, first_seed=1)
    whole = read_dataset(tmp_path)
    assert by_source(whole) == [whole]
