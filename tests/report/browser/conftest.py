"""The report in Chromium: one browser for the session, a fresh context for every page opened."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from ...conftest import tracked

EXAMPLES = tracked("reports/example/*.html")
PHONE = 500  # CSS pixels: below, the browser behaves as a phone's


@pytest.fixture(scope="session")
def browser():
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.fail("these tests need Chromium: `make test-browser` finds or installs it")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def sample_file(reports) -> Path:
    """The page made from the made-up results, which hold every awkward name and missing value."""
    return reports / "sample.html"


@pytest.fixture(
    scope="session",
    params=["sample", *EXAMPLES],
    ids=lambda file: getattr(file, "stem", file),
)
def report_file(request) -> Path:
    """Every page there is: the made-up one and the committed examples."""
    return request.getfixturevalue("sample_file") if request.param == "sample" else request.param


class Watch:
    """What an open page asked for from outside, and what its console said."""

    def __init__(self, context):
        self.outside: list[str] = []
        self.messages: list[str] = []
        context.route("**/*", self._answer)
        context.on("console", self._note)
        context.on("weberror", lambda error: self.messages.append(str(error.error)))

    def _answer(self, route):
        if route.request.url.startswith(("file:", "data:")):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def _note(self, message):
        if message.type in ("error", "warning"):
            self.messages.append(f"{message.type}: {message.text}")

    def complaints(self) -> list[str]:
        return [f"asked for {url}" for url in self.outside] + self.messages


@contextmanager
def opening(browser):
    """A function that opens a file and gives its page and its Watch; closes all at the end."""
    contexts = []

    def open_file(file, *, width=1280, scheme="light", media=None, scripts=True, folds=False):
        context = browser.new_context(
            viewport={"width": width, "height": 850},
            is_mobile=width < PHONE,
            color_scheme=scheme,
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        contexts.append(context)
        watch = Watch(context)
        page = context.new_page()
        if media:
            page.emulate_media(media=media)
        page.goto(file.as_uri())
        if folds:
            page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        return page, watch

    try:
        yield open_file
    finally:
        for context in contexts:
            context.close()


@pytest.fixture
def watch_page(browser):
    """Opens a file and gives its page and its Watch."""
    with opening(browser) as open_file:
        yield open_file


@pytest.fixture
def open_page(watch_page):
    """Opens a file and gives its page."""
    return lambda *args, **settings: watch_page(*args, **settings)[0]


@pytest.fixture(scope="session")
def shown(browser, report_file):
    """A page with all folds open, shared by the tests that only look."""
    with opening(browser) as open_file:
        yield open_file(report_file, folds=True)[0]


@pytest.fixture(scope="session")
def paper(browser, report_file):
    """A page laid out for A4 by its style alone, shared by the tests that only look.

    The width is what Chromium's margins of 1 cm leave, in CSS pixels.
    """
    with opening(browser) as open_file:
        yield open_file(report_file, media="print", scripts=False, width=718)[0]
