"""The comparison in a real browser without a network."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from producer.cells.connections import one_cell
from producer.reading.comparison.writing import compare
from tests.browser.conftest import record_errors
from tests.producer.reading.test_compare import MERRY, SOBER, write_lecture
from worker.contract.connection import connect

LONG = "statistics-101-monday-afternoon-in-the-large-hall-2026-11-23"


@pytest.fixture(scope="module")
def file(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("comparison") / "c.html"
    with connect(redis_server) as client:
        client.flushall()
        write_lecture(client, "a", 6, SOBER, [(0, "Intro"), (10, "<script>alert(1)</script>")])
        write_lecture(client, LONG, 7, MERRY, [(0, "Intro"), (10, "<script>alert(1)</script>")])
        compare(one_cell(client), ["a", LONG], path)
    return path


@pytest.mark.parametrize("width", [1440, 400])
def test_it_opens_without_a_network_errors_or_a_bar_to_scroll_sideways(
    browser: Browser, file: Path, errors: list[str], width: int
) -> None:
    with browser.new_context(viewport={"width": width, "height": 900}, offline=True) as context:
        page = context.new_page()
        record_errors(page, errors)
        page.goto(file.as_uri())
        assert page.title() == f"a and {LONG} \N{EN DASH} LecturePulse comparison"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        first = page.locator(".interval").first.bounding_box()
        assert first is not None
        assert first["width"] > 5
        assert page.locator("script").count() == 0
    assert errors == []
