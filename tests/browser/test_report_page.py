"""The report in a real browser without a network: what it shows, also to a keyboard and a screen reader."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from producer.presentation.palette import STACK
from producer.reading.analysis.names import Roster
from producer.reading.report.writing import report
from tests.browser.conftest import charts_drawn, record_errors
from tests.producer.reading.scripted import scripted_events, write_scripted
from worker.contract.connection import connect

FRAMES = 120
"""A minute. All are neutral, and happy from 0:30 to 0:54, but p03 is away for a while and p04 always angry. For three
seconds nobody's face can be read, and p02's for longer."""

NAME = '<img src=x onerror="document.title=1">'


def shows(person: int, frame: int) -> str | None:
    if 90 <= frame < 96 or (person == 1 and 96 <= frame < 98):
        return "blurred"
    if person == 3:
        return "anger"
    if person == 2 and 10 <= frame < 40:
        return None
    return "happiness" if 60 <= frame < 108 else "neutral"


@pytest.fixture(scope="module")
def file(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "r.html"
    with connect(redis_server) as client:
        client.flushall()
        write_scripted(client, scripted_events(4, FRAMES, shows, share=0.86))
        assert report(client, "l", path, Roster({"p01": NAME})).over
    return path


@pytest.fixture
def page(browser: Browser, file: Path, errors: list[str]) -> Iterator[Page]:
    """The report. Requests for any other file count as errors."""
    with browser.new_context(viewport={"width": 1200, "height": 900}, offline=True) as context:
        page = context.new_page()
        record_errors(page, errors)
        page.on("request", lambda request: errors.append(request.url) if request.url != file.as_uri() else None)
        page.goto(file.as_uri())
        expect(page.locator("[data-chart=faces] svg")).to_be_visible()
        expect(page.locator(".track")).to_have_count(4)
        yield page


def test_it_opens_without_a_network_and_errors_and_without_scripts_it_has_tables(
    browser: Browser, file: Path, page: Page, errors: list[str]
) -> None:
    expect(page).to_have_title("Lecture l \N{EN DASH} LecturePulse report")
    for chart in ("shares", "affect", "faces"):
        expect(page.locator(f"[data-chart={chart}] svg .mark-area path")).not_to_have_count(0)
    expect(page.get_by_text("If scripts may not run")).to_have_count(0)
    expect(page.get_by_role("slider", name=f"{NAME} (p01)")).to_be_visible()
    expect(page.locator("img")).to_have_count(0)  # markup in a name stays text
    assert errors == []
    with browser.new_context(java_script_enabled=False, offline=True) as context:
        plain = context.new_page()
        plain.goto(file.as_uri())
        expect(plain.get_by_text("If scripts may not run")).to_be_visible()
        expect(plain.locator("#coverage-table tr")).to_have_count(5)


def test_headings_landmarks_and_charts_have_names_and_the_first_tab_stop_skips_to_the_report(page: Page) -> None:
    assert page.get_by_role("heading", level=1).all_inner_texts() == ["Lecture l"]
    assert page.get_by_role("heading", level=2).all_inner_texts() == [
        "How the class went",
        "The class over time",
        "Moments worth watching",
        "Participants",
        "What these results do not say",
        "Statistics",
    ]
    for role in ("banner", "navigation", "main", "contentinfo"):
        expect(page.get_by_role(role)).to_have_count(1)
    for picture in page.get_by_role("img").all():
        assert picture.get_attribute("aria-label")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the report")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_every_row_has_a_map_of_where_the_person_sat(page: Page) -> None:
    assert page.locator("#coverage-table .map").count() == page.locator(".strip .map").count() == 4
    for one in page.locator(".strip .map").all():
        expect(one).to_have_attribute("aria-label", "top left")
        frame, tile = (one.locator(f".{name}").bounding_box() for name in ("frame", "tile"))
        assert frame is not None
        assert tile is not None
        assert 0 < tile["width"] < frame["width"] < 60
    expect(page.locator(".track").nth(1)).to_have_accessible_name("p02, top left")


def test_the_table_opens_and_holds_what_was_displayed(page: Page) -> None:
    page.get_by_text("The same as a table", exact=True).focus()
    page.keyboard.press("Enter")
    rows = [row.locator("th, td").all_inner_texts() for row in page.locator("#class-table tr").all()]
    assert rows[0] == ["from", "faces", *reversed(STACK), "valence", "arousal"]
    assert len(rows) == 1 + FRAMES // 2
    before, middle, after = (dict(zip(rows[0], rows[1 + second], strict=True)) for second in (3, 12, 40))
    # Three of four neutral at 86 %, one angry; two of three; three of four happy. Others have 2.3 %.
    assert (before["faces"], before["neutral"], before["anger"], before["happiness"]) == ("4.0", "65%", "23%", "2%")
    assert (middle["from"], middle["faces"], middle["neutral"], middle["anger"]) == ("0:00:12", "3.0", "58%", "30%")
    assert (after["happiness"], after["anger"], after["neutral"]) == ("65%", "23%", "2%")


def test_a_strip_can_be_read_with_keyboard_and_screen_reader(page: Page) -> None:
    strip = page.get_by_role("slider", name="p03")
    page.get_by_role("link", name="Skip 4 strips").focus()
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(strip).to_be_focused()
    page.keyboard.press("Home")
    expect(strip).to_have_attribute("aria-valuetext", "0:00:00: neutral 86%")
    for _ in range(16):
        page.keyboard.press("ArrowRight")
    expect(strip).to_have_attribute("aria-valuetext", "0:00:16: not seen")
    expect(page.get_by_role("slider", name="p04")).to_have_attribute("aria-valuetext", "0:00:16: anger 86%")
    page.keyboard.press("End")
    expect(strip).to_have_attribute("aria-valuetext", "0:00:59: neutral 86%")
    expect(page.locator("[data-clock]")).to_have_text("0:00:59")
    expect(page.locator("[data-readout]")).to_contain_text("neutral 65%, anger 23% · 4 faces · valence ")
    page.keyboard.press("Escape")
    expect(page.locator("[data-clock]")).to_have_text("Whole lecture")


def test_faces_that_cannot_be_read_are_dotted_and_say_so(page: Page) -> None:
    expect(page.locator('.track[data-participant="p02"] path.unread')).to_have_attribute("d", "M45 3.5H49")
    expect(page.locator('.track[data-participant="p04"] path.unread')).to_have_attribute("d", "M45 3.5H48")
    time = page.get_by_role("slider", name="Time in the lecture")
    time.fill("46")
    expect(page.locator("[data-readout]")).to_have_text("4 faces, 4 not readable")
    expect(page.locator("[data-share=happiness]")).to_have_text("\N{EN DASH}")
    expect(page.locator("[data-faces=faces]")).to_have_text("4.0")
    expect(page.locator("[data-faces=read]")).to_have_text("0.0")
    expect(page.get_by_role("slider", name="p04")).to_have_attribute("aria-valuetext", "0:00:46: not readable")
    time.fill("48")
    expect(page.locator("[data-readout]")).to_contain_text("4 faces, 1 not readable · valence")
    expect(page.get_by_role("slider", name="p02")).to_have_attribute("aria-valuetext", "0:00:48: not readable")


def test_the_legend_has_the_shares_of_the_lecture_or_of_the_chosen_time(page: Page) -> None:
    happiness, bar = page.locator("[data-share=happiness]"), page.locator(".time-bar")
    expect(bar).to_have_css("position", "static")  # it covers nothing until a time is chosen
    expect(page.locator("#first")).to_contain_text(f"happiness ({happiness.inner_text()})")
    page.get_by_role("slider", name="Time in the lecture").fill("50")
    expect(happiness).to_have_text("65%")
    expect(page.locator("[data-when]")).to_have_text("at 0:00:50")
    expect(bar).to_have_css("position", "sticky")
    page.locator("[data-chart=shares]").hover(position={"x": 60, "y": 100})
    expect(happiness).to_have_text("2%")
    page.get_by_role("button", name="Whole lecture").click()
    expect(page.locator("[data-when]")).to_have_text("whole lecture")


def test_times_in_sentences_and_moments_go_to_the_charts(page: Page) -> None:
    expect(page.locator("#first p")).to_have_count(3)
    for place in ("#first", ".moments"):
        page.locator(place).get_by_role("link", name="0:00:30").first.click()
        expect(page.locator("[data-clock]")).to_have_text("0:00:30")
        page.keyboard.press("Escape")
        expect(page.locator("[data-clock]")).to_have_text("Whole lecture")


def test_statistics_are_behind_a_fold_which_paper_opens(page: Page) -> None:
    table = page.locator("#coverage-table")
    expect(table).to_be_hidden()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(table).to_be_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(table).to_be_hidden()
    page.get_by_role("navigation").get_by_role("link", name="How long participants were in view").click()
    expect(table).to_be_visible()


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_is_wider_than_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    expect(page.locator("[data-chart=shares] svg")).not_to_have_attribute("width", "1")
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
    charts_drawn(page)
    for part in ("[data-chart=shares] svg", ".track >> nth=0", ".time-bar"):
        box = page.locator(part).bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
    short = page.locator(".participant b", has_text="p02")
    assert short.evaluate("element => element.scrollWidth <= element.clientWidth"), "an id is whole"
    labels = [label.bounding_box() for label in page.locator("[data-axis] span:not(.thinned)").all()]
    places = [(box["x"], box["x"] + box["width"]) for box in labels if box]
    assert len(places) >= 2
    strip = page.locator(".track").first.bounding_box()
    assert strip is not None
    assert abs(places[0][0] - strip["x"]) < 1, "the time zero stands where the strips begin"
    assert all(behind <= next_ for (_, behind), (next_, _) in pairwise(places)), "times above the strips overlap"


def test_page_and_charts_are_dark_if_the_system_is(page: Page) -> None:
    def brightness(selector: str, style: str) -> int:
        colour = page.locator(selector).first.evaluate(f"element => getComputedStyle(element).{style}")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    light = brightness("section", "backgroundColor"), brightness("[data-chart=shares] .role-axis-label text", "fill")
    page.emulate_media(color_scheme="dark")
    dark = brightness("section", "backgroundColor"), brightness("[data-chart=shares] .role-axis-label text", "fill")
    assert light[0] > 700 > 300 > dark[0]
    assert light[1] < 350 < 450 < dark[1]


def test_paper_has_no_buttons_and_few_pages(page: Page) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    for gone in ("nav", ".time-bar", "#class summary"):
        expect(page.locator(gone).first).to_be_hidden()
    for table in page.locator(".scroll").all():
        expect(table).to_have_css("max-height", "none")  # or long tables overlap with what follows
    section = page.locator("section").first
    assert section.evaluate("element => getComputedStyle(element).backgroundColor") == "rgb(255, 255, 255)"
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 8


def test_paper_shows_the_whole_lecture_for_any_chosen_time(page: Page) -> None:
    happiness = page.locator('[data-share="happiness"]')
    whole = happiness.inner_text()
    page.locator("[data-time]").fill("3")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    expect(happiness).to_be_visible()
    expect(happiness).to_have_text(whole)
    expect(page.locator("[data-when]")).to_have_text("whole lecture")
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.locator("[data-when]")).to_have_text("at 0:00:03")
