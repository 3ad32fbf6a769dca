"""The place of the archive: what cannot be used is named in one line, without keys."""

import os
from pathlib import Path

import pytest

from producer.archive.place import ArchiveUnusable, Place
from tests.producer.archive.s3 import Store


def written(place: Place, lecture: str, content: bytes) -> None:
    with place.writing(lecture) as file:
        file.write(content)


def test_files_are_written_replaced_listed_and_erased(place: str) -> None:
    there = Place(place)
    there.check()
    assert (there.files(), there.has("g9"), there.erase("g9")) == ({}, False, False)
    written(there, "g9", b"old")
    written(there, "-_g9", b"another")
    before = there.files()
    written(there, "g9", b"newer")
    assert sorted(there.files()) == ["-_g9", "g9"]
    assert there.files()["g9"] != before["g9"]
    with there.open("g9") as file:
        assert file.read() == b"newer"
    assert (there.erase("g9"), there.has("g9"), there.has("-_g9")) == (True, False, True)


def test_a_file_that_could_not_be_written_whole_is_not_there(place: str) -> None:
    there = Place(place)
    with pytest.raises(TypeError), there.writing("g9") as file:
        file.writelines([b"half of it", "no bytes"])
    assert there.files() == {}


def test_other_files_in_the_folder_are_left_alone(folder: Path) -> None:
    for name in ("notes.txt", "a b.parquet", ".g9.17.partial", f"{'x' * 65}.parquet"):
        (folder / name).write_text("mine")
    (folder / "sub.parquet").mkdir()
    assert Place(str(folder)).files() == {}


def test_erasing_removes_what_a_killed_program_left(folder: Path) -> None:
    (folder / ".g9.17.partial").write_text("half of it")
    (folder / ".g9x.17.partial").write_text("another lecture's")
    assert not Place(str(folder)).erase("g9")
    assert [path.name for path in folder.iterdir()] == [".g9x.17.partial"]
    (folder / ".g9.18.partial").mkdir()
    with pytest.raises(ArchiveUnusable, match="cannot use the archive"):
        Place(str(folder)).erase("g9")


def test_a_folder_may_be_relative_and_stays_the_same_for_a_child_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert Place(folder.name).address == str(folder)


def test_a_folder_may_be_a_file_url(folder: Path) -> None:
    written(Place(str(folder)), "g9", b"x")
    assert list(Place(folder.as_uri()).files()) == ["g9"]


def test_a_bad_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ArchiveUnusable, match=f"cannot use the archive {tmp_path}/away: there is no such folder; create"
    ):
        Place(str(tmp_path / "away")).check()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ArchiveUnusable, match="Not a directory"):
        Place(str(file)).check()
    if os.getuid():
        with pytest.raises(ArchiveUnusable, match="this user may not write to it"):
            Place("/usr").check()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://host/x", "archive ftp://host/x is neither a folder nor s3://BUCKET/PREFIX"),
        (
            "s3://AKIA:hunter2@bucket/x",
            "archive s3://bucket/x: keys in the address are not accepted; put them into AWS_",
        ),
        ("s3://", "archive s3:// has no bucket"),
        ("", "the archive has no name"),
        (os.fsdecode(b"/srv/Vorlesungen-f\xfcr-Anna"), "its name is not text in UTF-8"),
    ],
)
def test_an_address_that_can_be_none_is_refused(address: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        Place(address)
    assert "hunter2" not in str(refused.value)


def test_a_wrong_bucket_and_a_wrong_option_are_named(store: Store) -> None:
    with pytest.raises(
        ArchiveUnusable, match="cannot use the archive s3://other/x: there is no such bucket"
    ) as failure:
        Place(store.address("other/x")).check()
    assert not failure.value.away
    with pytest.raises(ArchiveUnusable, match="Unexpected query parameter in S3 URI: 'colour'"):
        Place("s3://bucket/x?colour=red").check()


def test_a_store_that_is_away_is_named_and_found_again(store: Store) -> None:
    there = Place(store.address("bucket/x"))
    written(there, "g9", b"x")
    store.stop()
    with pytest.raises(ArchiveUnusable, match=r"cannot use the archive s3://bucket/x: .*connect") as failure:
        there.check()
    assert failure.value.away
    with pytest.raises(ArchiveUnusable):
        written(there, "g9", b"y")
    store.start()
    with there.open("g9") as file:
        assert file.read() == b"x"


def test_a_home_folder_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match=r"^archive ~no-such-user/x: there is no such home folder; write the whole "):
        Place("~no-such-user/x")
