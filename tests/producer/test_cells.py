"""Which cell has a lecture, and the list of cells that a user writes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.cells.naming import Cell, CellsRefused, ranked, read_cells, shown_cells
from tests.processes import called
from worker.contract.keys import ID

cell_lists = st.lists(st.from_regex("[a-z][a-z0-9.-]{0,9}", fullmatch=True), min_size=2, max_size=9, unique=True)
lecture_ids = st.lists(st.from_regex(ID, fullmatch=True), min_size=1, max_size=50)


def cell_of(names: list[str], lecture: str) -> str:
    return ranked([Cell(name, "") for name in names], lecture)[0].name


@given(cell_lists, lecture_ids)
def test_a_new_cell_takes_lectures_from_all_others_and_nothing_else_moves(names: list[str], ids: list[str]) -> None:
    new, *old = names
    for lecture in ids:
        before, after = cell_of(old, lecture), cell_of(names, lecture)
        assert after in (before, new)
        assert cell_of(names[::-1], lecture) == after, "the order of the list does not matter"


def test_lectures_are_spread_evenly_and_stay_where_they_are_in_later_versions() -> None:
    counts = Counter(cell_of(["a", "b", "c", "d", "e"], f"lecture-{number}") for number in range(10_000))
    assert all(abs(count - 2000) < 200 for count in counts.values()), counts
    assert [cell_of(["a", "b", "c"], lecture) for lecture in ("g9", "physics-1", "l")] == ["b", "c", "b"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("redis://one two=redis://two", "two=redis://elsewhere:7000/3 redis://user:s3cret@ONE:6379/0"),
        ("redis://h:1/2, redis://h:1", "rediss://:p%40,w@h:1?db=2&ssl_ca_certs=/ca.pem\nredis://h:1?client_name=x"),
        ("unix:///a.sock unix:///b.sock", "unix:///b.sock?password=s3cret,unix:///a.sock"),
    ],
)
def test_the_name_of_a_cell_does_not_change_with_its_password_or_its_encryption(one: str, other: str) -> None:
    assert {each.name for each in read_cells(one)} == {each.name for each in read_cells(other)}
    assert "s3cret" not in shown_cells(other)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" , ", "the list of cells is empty"),
        ("redis://h redis://:s3cret@h:6379/0", "the Redis h:6379/0 is listed twice"),
        ("a=redis://h a=redis://:s3cret@g", "two cells have the name a"),
        ("redis://h redis://:s3cret@g:port", "not a URL that can be read"),
        ("redis://h :s3cret@g", "not a URL that can be read"),
        ("redis://h http://:s3cret@g", "cell http://g: not a URL"),
        ("a=redis://:s3cret word@h redis://g", "cell a=redis://...: not a URL"),
        ("redis://g a=redis://:word s3cret@h", "a space as %20"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_in_one_line_without_credentials(
    text: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CellsRefused, match=why):
        read_cells(text)
    monkeypatch.setenv("LECTUREPULSE_CELLS", text)
    code, out, err = called("list")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert why in err
    assert "s3cret" not in err
    assert "'[" not in err


def test_two_variables_that_name_different_redis_are_refused(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LECTUREPULSE_CELLS", "redis://a redis://b")
    monkeypatch.setenv("REDIS_URL", redis_url)
    code, _, err = called("list")
    assert code == 2
    assert "LECTUREPULSE_CELLS and REDIS_URL are both set" in err
    assert called("list", "--redis", redis_url)[0] == 0
