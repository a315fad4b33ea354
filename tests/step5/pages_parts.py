"""What the tests of the pages share: the service on a day of made-up calls, and a real browser looking at it.

A page that is watched must stay on its origin, break no rule of the Content-Security-Policy and log no
error; each test ends with that check.
"""

import shutil
from types import SimpleNamespace

import pytest

from step5_serving.addresses import listening
from step5_serving.api.keys import SCOPES, Keys
from step5_serving.telemetry.call import now
from step5_serving.telemetry.writer import Recorder, write_rows
from tests.step5.service_parts import FakeAnswerer, Shelf, app_of
from tests.step5.telemetry_parts import ATTEMPTS, made_up, source_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
WATCH = "addEventListener('securitypolicyviolation', e => console.error('CSP', e.effectiveDirective))"

OVERVIEW = "contracts/renewal-overview.md"
QUESTION = "When do contracts renew automatically?"
RENEW = "Most agreements renew automatically for a fixed period unless one party gives notice in time"
ANSWER = (
    f"{RENEW} [1]. "
    "A few end on a fixed date and need a new signature, like the one with Oskarlund Semitech [1, 3], and "
    "the Sablewick terms run until somebody terminates them [1]. The agreement with Quellmark Ceramics "
    "renews for twelve months at a time; its notice period is 90 days [2]."
)
PROMPT = "You answer questions from numbered sources.\n\nRules:\n- Use only what the sources say."
MARKUP = "<img src=x onerror=alert(1)> [1]"
PASSAGES = [
    (OVERVIEW, f"There are four patterns. {RENEW}. Few do not.\n\nThe key account managers know the dates."),
    ("contracts/quellmark-ceramics-supply-2025.md", "It renews for successive periods of twelve months."),
    ("contracts/oskarlund-semitech-supply.md", "There is no automatic renewal: it needs an agreement."),
    (OVERVIEW, "Notices go out by registered letter."),
    ("handbook/procurement-policy.md", "Contracts over EUR 150,000 are not renewed by silence."),
]


def known():
    """What the service says of its answer."""
    sources = [source_of(text, document, n) for n, (document, text) in enumerate(PASSAGES, 1)]
    found = {"sources": sources, "confidence": 0.93, "attempts": ATTEMPTS}
    figures = {"input_tokens": 862, "output_tokens": 74, "cost_usd": 0.00052}
    times = {"retrieve_ms": 141.0, "rerank_ms": 61.5, "generate_ms": 2655.8}
    return {**found, **figures, **times, "prompt_sha256": f"ab12cd34{'0' * 56}"}


def day():
    """Calls of a day; the latest has markup for an answer, and one has no question."""
    calls = list(made_up(60, now(), 1200, **known(), answer=ANSWER, prompt_text=PROMPT))
    calls[-1].answer, calls[-6].question = MARKUP, None
    return calls


@pytest.fixture
def service(tmp_path):
    """The service on a real port: its address, answerer, keys, a key, and the store of its telemetry."""
    library = Shelf(document for document, _ in PASSAGES)
    answerer = FakeAnswerer(text=ANSWER, fields=known(), library=library)
    recorder, keys = Recorder.from_url(f"sqlite:///{tmp_path}/telemetry.db"), Keys(tmp_path / "keys.json")
    write_rows(recorder.store, day())
    _, key = keys.add("operator", SCOPES)
    with listening(app_of(answerer, recorder, keys)) as address:
        yield SimpleNamespace(address=address, answerer=answerer, keys=keys, key=key, store=recorder.store)


# --- a browser ------------------------------------------------------------------------------------------


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


@pytest.fixture
def look(browser, service):
    """look("/dashboard", dark=True, width=360) opens a page; what it did wrong fails the test at its end."""
    contexts, wrong = [], []

    def told(message):
        # Chromium logs each status from 400 by itself; what the page makes of it is for the tests to see.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    def asked(request):
        if not request.url.startswith(f"{service.address}/"):
            wrong.append(f"left the origin: {request.url}")

    def open_page(path="/", dark=False, width=1280, clock=False, has_key=True):
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", locale="en-GB"
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(WATCH)
        if has_key:
            page.add_init_script(f"sessionStorage.setItem('api-key', '{service.key}')")
        if clock:
            page.clock.install()
        page.on("console", told)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", asked)
        page.goto(service.address + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong
