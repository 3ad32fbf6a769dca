"""One real browser for all tests of a module."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

expect.set_options(timeout=60_000)  # for slow machines; on others nothing waits this long


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


@pytest.fixture
def errors() -> list[str]:
    """The errors and warnings of the browser, for a page that was given to `record_errors`."""
    return []


def charts_drawn(page: Page) -> None:
    """Wait until the browser has drawn what it knows, at its present size."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def record_errors(page: Page, errors: list[str]) -> None:
    """Add the errors and warnings of `page` to `errors`."""

    def record(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    page.on("console", record)
    page.on("pageerror", lambda error: errors.append(str(error)))
