"""Three cells, one of them killed: its lectures are named as missing, and the others work as before."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import redis

from producer import follow, lectures
from producer.cells.connections import CellDown
from producer.cells.naming import ranked, read_cells
from tests.conftest import running_redis
from tests.faults.commands import finished, producing
from tests.processes import called, eventually, ran, workers
from tests.producer.committing import committing
from tests.producer.feeding.films import film
from tests.producer.reading.writing import begin, commit, frame_events, write
from tests.producer.serving.server import Page, listening, serving
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys

NAMES = "abc"


class Three(NamedTuple):
    """The value of LECTUREPULSE_CELLS; name -> the client, and the server, of each cell."""

    text: str
    urls: dict[str, str]
    clients: dict[str, redis.Redis]
    servers: dict[str, "subprocess.Popen[bytes]"]

    def lecture_in(self, cell: str, prefix: str = "l") -> str:
        """The id of a lecture that belongs to this cell."""
        return next(id for n in range(1000) if self.cell_of(id := f"{prefix}{n}") == cell)

    def cell_of(self, lecture: str) -> str:
        return ranked(read_cells(self.text), lecture)[0].name


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Iterator[Three]:
    with ExitStack() as stack:
        started = {name: stack.enter_context(running_redis()) for name in NAMES}
        urls = {name: url for name, (url, _) in started.items()}
        clients = {name: stack.enter_context(connect(url)) for name, url in urls.items()}
        text = " ".join(f"{name}={url}" for name, url in urls.items())
        monkeypatch.setenv("LECTUREPULSE_CELLS", text)
        yield Three(text, urls, clients, {name: server for name, (_, server) in started.items()})


def kill(server: "subprocess.Popen[bytes]") -> None:
    server.kill()
    server.wait()


def kept_in(client: redis.Redis) -> set[str]:
    return {key.decode().split("{")[1].split("}")[0] for key in client.scan_iter("lecture:{*")}


def test_workers_of_each_cell_read_its_lectures_and_a_killed_cell_stops_no_other(three: Three, tmp_path: Path) -> None:
    video = film(tmp_path / "Week 7.mp4", pictures=8, fps=4)
    one, other = three.lecture_in("a"), three.lecture_in("b")
    with workers(three.urls["a"], 1), workers(three.urls["b"], 1):
        kill(three.servers["c"])
        for lecture in (one, other):
            code, _, err = ran("ingest", video, "--lecture", lecture)
            assert code == 0, err
    assert (kept_in(three.clients["a"]), kept_in(three.clients["b"])) == ({one}, {other})
    code, out, err = called("list")
    assert (code, err.count("\n")) == (1, 1)
    assert "cell c: cannot reach Redis" in err
    assert "the lectures that only it has are not listed" in err
    assert [line.split()[0] for line in out.splitlines()[1:]] == [one, other]
    lost = three.lecture_in("c")
    for command in (
        ("ingest", video, "--lecture", lost),
        ("report", lost, "-o", tmp_path / "r.html"),
        ("forget", lost),
    ):
        code, _, err = called(*command)
        assert (code, err.count("\n")) == (2, 1)
        assert "cell c: cannot reach Redis" in err


def test_an_id_that_is_made_of_the_name_is_taken_in_all_cells(three: Three, tmp_path: Path) -> None:
    video = film(tmp_path / "Week 7.mp4", pictures=8, fps=4)
    elsewhere = next(name for name in NAMES if name != three.cell_of("Week-7"))
    write(three.clients[elsewhere], "Week-7", [["p01"]])  # it was there before the list of cells changed
    with ExitStack() as stack:
        for url in three.urls.values():
            stack.enter_context(committing(url))
        assert ran("ingest", video)[0] == 0
    assert "Week-7-2" in kept_in(three.clients[three.cell_of("Week-7-2")])
    assert {each.id for each in lectures()} == {"Week-7", "Week-7-2"}
    assert list(follow("Week-7"))


def answer(address: str) -> httpx.Response:
    return httpx.get(address, timeout=60)  # by default 5 s, which is short for a slow machine


def test_pages_of_a_killed_cell_say_so_and_those_of_the_others_go_on(three: Three) -> None:
    running = {name: three.lecture_in(name) for name in NAMES}
    over = {name: three.lecture_in(name, "over") for name in NAMES}
    for name, client in three.clients.items():
        begin(client, running[name])
        commit(client, running[name], frame_events(running[name], 0, ["p01"]))
        write(client, over[name], [["p01"]] * 3)
    with serving(three.text) as site, ExitStack() as stack:
        streams = {name: stack.enter_context(listening(f"{site}lectures/{running[name]}/stream")) for name in NAMES}
        pages = {name: Page().until(streams[name], caught_up=True) for name in NAMES}
        listed = answer(f"{site}api/lectures").json()
        assert {each["id"] for each in listed["lectures"]} == {*running.values(), *over.values()}
        assert "down" not in listed
        kill(three.servers["c"])
        pages["c"].until(streams["c"], connected=False)
        commit(three.clients["a"], running["a"], frame_events(running["a"], 1, ["p01"]))
        pages["a"].until(streams["a"], connected=True, read=2)
        listed = answer(f"{site}api/lectures").json()
        assert listed["down"] == ["c"]
        assert {each["id"] for each in listed["lectures"]} == {
            id for name in "ab" for id in (running[name], over[name])
        }
        assert answer(f"{site}lectures/{over['b']}").status_code == 200
        lost = answer(f"{site}api/lectures/{over['c']}")
        assert (lost.status_code, lost.json()["error"].startswith("cell c: ")) == (503, True)
        page = answer(f"{site}lectures/{over['c']}")
        assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")


def test_lectures_of_several_cells_are_compared_and_a_course_only_if_all_answer(three: Three, tmp_path: Path) -> None:
    one, other = (three.lecture_in(name) for name in "ab")
    for name, lecture in (("a", one), ("b", other)):
        write(three.clients[name], lecture, [["p01", "p02"]] * 3)
        three.clients[name].hset(LectureKeys(lecture).info, "course", "physics")
    assert called("compare", "--course", "physics", "-o", tmp_path / "course.html")[0] == 0
    kill(three.servers["c"])
    assert called("compare", one, other, "-o", tmp_path / "two.html")[0] == 0
    code, _, err = called("compare", "--course", "physics", "-o", tmp_path / "no.html")
    assert (code, err.count("\n"), "cell c: " in err) == (2, 1, True)
    with pytest.raises(CellDown, match="cell c"):
        lectures()


def test_an_ingest_whose_cell_is_killed_names_it(three: Three, tmp_path: Path) -> None:
    video, lecture = film(tmp_path / "a.mp4", pictures=240, fps=4), three.lecture_in("b")
    with committing(three.urls["a"]), producing("ingest", video, "--lecture", lecture, "--json", OUTAGE_S=1) as ingest:
        eventually(lambda: three.clients["b"].exists(LectureKeys(lecture).info))
        kill(three.servers["b"])
        code, _, said = finished(ingest)
    assert code == 1
    assert f"lost Redis at {three.urls['b']}" in said[-1]
