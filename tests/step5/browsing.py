"""Fixtures for the tests of the pages: a stand-in for the service, and a real browser looking at it.

A page that is watched must stay on its origin, break no rule of the Content-Security-Policy and log no
error; each test ends with that check.
"""

import shutil
from types import SimpleNamespace

import pytest

from step5_serving.addresses import listening
from tests.step5 import pages_service

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
WATCH = "addEventListener('securitypolicyviolation', e => console.error('CSP', e.effectiveDirective))"


@pytest.fixture(scope="module")  # Playwright keeps an event loop running meanwhile
def browser():
    """Chromium, driven by Playwright; where one of them is missing, the tests skip and say which."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no browser test: pip install playwright")
    if not CHROMIUM:
        pytest.skip("no browser test: no chromium on PATH (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield chromium
        chromium.close()


def until(page, condition):
    """Wait for something on a page; its own policy forbids what Playwright's wait_for_function does."""
    for _ in range(300):
        if condition():
            return
        page.wait_for_timeout(30)
    pytest.fail("it did not come about")


@pytest.fixture(scope="session")
def stand_in():
    script = pages_service.Script()
    with listening(pages_service.make_app(script)) as address:
        yield SimpleNamespace(script=script, address=address)


@pytest.fixture
def script(stand_in):
    """What the stand-in does, as it is at first."""
    stand_in.script.__init__()
    return stand_in.script


@pytest.fixture
def look(browser, stand_in, script):
    """look("/dashboard", dark=True, width=360) opens a page; what it did wrong fails the test at its end."""
    contexts, wrong, origins = [], [], set()

    def told(message):
        # Chromium logs each status from 400 by itself; what the page makes of it is for the tests to see.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    def asked(request):
        if not request.url.startswith(tuple(origins)):
            wrong.append(f"left the origin: {request.url}")

    def open_page(path="/", dark=False, width=1280, clock=False, at=stand_in.address):
        origins.add(f"{at}/")
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", locale="en-GB"
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(WATCH)
        if clock:
            page.clock.install()
        page.on("console", told)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", asked)
        page.goto(at + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong
