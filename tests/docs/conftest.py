"""What the tests of the website share: the site, built once, and Chromium looking at its files."""

import pytest

from docs.site import __main__ as site
from tests.step5.pages_parts import ARGS, CHROMIUM

NO_MERMAID = "var mermaid = { initialize() {}, render: async () => ({ svg: '<svg></svg>' }) };"


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder of the built site; its diagrams are empty, as Mermaid would have to be fetched."""
    pytest.importorskip("zensical", reason="no test of the site: pip install -e '.[site]'")
    build = tmp_path_factory.mktemp("build")
    site.write_pages(build)
    (build / "pages" / site.MERMAID).write_text(NO_MERMAID)
    assert site.run_zensical(build) == 0
    return build / "site"


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


@pytest.fixture
def look(browser, built):
    """look("index.html", dark=True, width=390) opens a page's file; an error in it, or a request to a
    host, fails the test at its end."""
    contexts, wrong = [], []

    def note_message(message):
        # Zensical's search asks for what file:// does not give; the search works over HTTP.
        if message.type == "error" and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    def note_request(request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            wrong.append(f"request to a host: {request.url}")

    def open_page(path, dark=False, width=1280, motion="no-preference"):
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
            reduced_motion=motion,
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note_message)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", note_request)
        page.goto((built / path).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
