"""The list of lectures in a real browser: recordings are added, found, downloaded and forgotten without a terminal."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.browser.conftest import record_errors
from tests.conftest import running_redis
from tests.producer.committing import committing
from tests.producer.feeding.films import film
from tests.producer.reading.writing import begin, commit, frame_events, write
from tests.producer.serving.server import serving
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys


@pytest.fixture
def page(browser: Browser, redis_url: str, errors: list[str]) -> Iterator[Page]:
    with serving(redis_url) as address:
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        record_errors(page, errors)
        page.goto(address)
        yield page
        page.close()


def test_a_recording_is_added_and_its_report_opened_without_a_terminal(
    page: Page, redis_url: str, tmp_path: Path, errors: list[str]
) -> None:
    video = film(tmp_path / "Week 7.mp4", pictures=40, fps=4)
    expect(page.locator("#none")).to_be_visible()
    page.get_by_label("Drop video files here, or choose them:").set_input_files(video)
    added = page.locator("#additions > li")
    expect(added).to_contain_text("reading: starting")
    with committing(redis_url):
        expect(added).to_contain_text("done open the report of Week-7")
    page.get_by_role("button", name="Close the line of Week 7.mp4").click()
    expect(added).to_have_count(0)
    row = page.get_by_role("row", name="Week-7")
    expect(row).to_contain_text("20 of 20")
    with page.expect_download() as download:
        row.get_by_role("link", name="Download Week-7 as CSV").click()
    assert download.value.suggested_filename == "Week-7.csv"
    row.get_by_role("link", name="Week-7", exact=True).click()
    expect(page.locator("h1")).to_have_text("Lecture Week-7")
    assert errors == []


def test_files_are_dropped_on_the_page_and_bad_ones_are_explained(page: Page, redis_url: str, tmp_path: Path) -> None:
    drop = """(names) => {
        const files = new DataTransfer();
        for (const name of names) files.items.add(new File(["no video"], name));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(drop, ["one.mp4", "<i>two.mp4"])
    for name in ("one.mp4", "<i>two.mp4"):
        expect(page.locator("#additions > li", has_text=name)).to_contain_text(f"{name}: is not a readable video")
    page.get_by_label("Or its path on this machine:").fill(str(tmp_path / "none.mp4"))
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#additions > li", has_text="none.mp4")).to_contain_text("no such file; check the path")
    page.get_by_label("Or its path on this machine:").fill("none.mp4")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#refused")).to_contain_text("'none.mp4' is not a whole path")


def test_stopping_a_waiting_file_twice_removes_no_other_one(page: Page) -> None:
    page.route("**/api/recordings?*", lambda route: None)  # the first upload never ends
    names = ["one.mp4", "two.mp4", "three.mp4", "four.mp4"]
    files: list[FilePayload] = [{"name": name, "mimeType": "video/mp4", "buffer": b"no video"} for name in names]
    page.get_by_label("Drop video files here, or choose them:").set_input_files(files)
    waiting = page.locator("#additions > li")
    expect(waiting).to_have_count(3)
    page.evaluate("""() => {
        const stop = document.querySelector('#additions button[aria-label="Stop adding two.mp4"]');
        stop.click();
        stop.click();
    }""")
    expect(waiting.locator(".name")).to_have_text(["three.mp4", "four.mp4"])


def test_the_list_is_sorted_searched_and_forgotten_from(page: Page, client: redis.Redis, errors: list[str]) -> None:
    for number in range(12):
        write(client, f"week-{number}", [["p01"]] * (number % 5 + 1))
        info: dict[Any, Any] = {"started": 1_000_000 - number, "source": "talk.mp4" if number % 2 else "Seminar.mkv"}
        client.hset(LectureKeys(f"week-{number}").info, mapping=info)
    fed = begin(client, "fed")
    client.set(fed.feeder, b"1")
    shown = page.locator("#lectures-body tr:visible th")
    newest_first = [*(f"week-{number}" for number in range(12)), "fed"]
    expect(shown).to_have_text(newest_first)
    page.get_by_role("button", name="lecture", exact=True).click()
    expect(shown).to_have_text(["fed", *newest_first[:-1]])  # by number, not by letters
    page.get_by_role("button", name="lecture", exact=True).click()
    expect(shown).to_have_text(["fed", *newest_first[:-1]][::-1])
    expect(page.get_by_role("columnheader", name="lecture")).to_have_attribute("aria-sort", "descending")
    page.get_by_label("Search").fill("SEMINAR week-1")
    expect(shown).to_have_text(["week-10"])
    expect(page.locator("#count")).to_have_text("1 of 13")
    page.get_by_role("button", name="Forget week-10").click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Forget week-10").click()
    expect(page.locator("dialog")).to_contain_text("Forget week-10?")
    page.get_by_role("button", name="Forget it").click()
    expect(shown).to_have_count(0)
    expect(page.locator("dialog")).to_be_hidden()
    assert not client.exists(LectureKeys("week-10").info)
    page.get_by_label("Search").fill("")
    expect(shown).to_have_count(12)
    client.hset(LectureKeys("week-3").info, "status", "stopped")
    page.get_by_role("button", name="Continue week-3").click()
    expect(page.locator("#continuing")).to_contain_text("To continue week-3, give talk.mp4 again.")
    expect(page.get_by_label("Drop video files here")).to_be_focused()
    expect(page.get_by_role("button", name="Continue week-4")).to_be_hidden()
    expect(page.get_by_role("button", name="Forget fed")).to_be_disabled()
    assert errors == []


@pytest.mark.parametrize("width", [400, 900, 1440])
def test_no_column_is_lost_at_any_width(page: Page, client: redis.Redis, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    write(client, "x" * 64, [["p01"]])
    client.hset(LectureKeys("x" * 64).info, "source", "a-recording-with-the-longest-name-that-anybody-gave-" * 4)
    expect(page.locator("#lectures-body tr")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for cell in page.locator("#lectures-body tr > *").all():
        box = cell.bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        assert cell.evaluate("(cell) => cell.scrollWidth <= cell.clientWidth")


def test_every_participant_of_a_large_lecture_has_a_row(page: Page, client: redis.Redis, errors: list[str]) -> None:
    client.set(begin(client, "l").feeder, b"1")
    commit(client, "l", frame_events("l", 0, [f"p{number:03}" for number in range(1, 301)]))
    page.get_by_role("link", name="l", exact=True).click()
    expect(page.locator("#participants-body tr")).to_have_count(300)
    expect(page.locator("#about")).to_have_text(re.compile(r"begun \d{4}-\d\d-\d\d \d\d:\d\d, 2 frames"))
    assert errors == []


def test_a_cell_that_does_not_answer_is_named_above_the_other_lectures(browser: Browser) -> None:
    with running_redis() as (one, _), running_redis() as (other, server), connect(one) as client:
        write(client, "l", [["p01"]])
        with serving(f"north={one} south={other}") as address:
            page = browser.new_page()
            page.goto(address)
            expect(page.locator("#status")).to_have_text("up to date")
            server.kill()
            expect(page.locator("#status")).to_have_text("lectures are missing, because south cannot be read")
            expect(page.get_by_role("row", name="l done")).to_be_visible()
            page.close()
