"""SOURCE and NAME=SOURCE on the command line."""

from pathlib import Path

import pytest

from producer.feeding.sources.address import SourceError
from producer.feeding.sources.request import SourceRequest, source_requests


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["talk.mp4"], [("talk.mp4", None)]),
        (["alice=a.mp4"], [("a.mp4", "alice")]),
        (["alice=a.mp4", "bob=/x/b=1.mp4"], [("a.mp4", "alice"), ("/x/b=1.mp4", "bob")]),
        (["alice=https://h/v?id=3", "bob=b.mp4"], [("https://h/v?id=3", "alice"), ("b.mp4", "bob")]),
        (["https://h/v?id=3"], [("https://h/v?id=3", None)]),
        (["./take=2.mp4"], [("./take=2.mp4", None)]),
    ],
)
def test_a_name_before_an_equals_sign_names_the_person(words: list[str], asked: list[tuple[str, str | None]]) -> None:
    assert source_requests(words) == asked
    assert source_requests(["alice=a.mp4"]) == source_requests(["a.mp4"], "alice")


def test_a_file_that_exists_is_a_source_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "take=2.mp4").touch()
    assert source_requests(["take=2.mp4"]) == [SourceRequest("take=2.mp4", None)]
    assert source_requests(["alice=take=2.mp4"]) == [SourceRequest("take=2.mp4", "alice")]


@pytest.mark.parametrize(
    ("words", "participant", "said"),
    [
        (["=a.mp4"], None, "participant id '' is not 1 to 64 letters"),
        (["al ice=a.mp4"], None, "participant id 'al ice' is not 1 to 64 letters"),
        (["x" * 300 + "=a.mp4"], None, "is not 1 to 64 letters"),
        (["alice=a.mp4", "alice=b.mp4"], None, "alice names two recordings"),
        (["alice=a.mp4"], "bob", "--participant bob names the person of a single SOURCE"),
        (["alice=a.mp4", "bob=b.mp4"], "bob", "--participant bob names the person of a single SOURCE"),
        (["alice=a.mp4", "https://me:SECRET@h/b.mp4?key=SECRET"], None, "https://h/b.mp4: each of several recordings"),
    ],
)
def test_missing_double_and_malformed_names_are_refused(words: list[str], participant: str | None, said: str) -> None:
    with pytest.raises(SourceError) as refused:
        source_requests(words, participant)
    assert said in str(refused.value)
    assert "SECRET" not in str(refused.value)
