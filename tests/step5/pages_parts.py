"""What the tests of the pages share: the service on a day of made-up calls, and a real browser looking at it.

A page that is watched must stay on its origin, break no rule of the Content-Security-Policy and log no
error; each test ends with that check.
"""

import json
import random
import shutil
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from step5_serving.addresses import listening
from step5_serving.api.keys import Keys
from step5_serving.telemetry.call import now
from step5_serving.telemetry.writer import Recorder, write_rows
from tests.step5.service_parts import FakeAnswerer, Shelf, app_of
from tests.step5.telemetry_parts import call_of, sha, source_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
WATCH = "addEventListener('securitypolicyviolation', e => console.error('CSP', e.effectiveDirective))"

SAMPLE = Path(__file__).parents[2] / "step3_rag" / "sample" / "documents"
OVERVIEW = "contracts/renewal-overview.md"
QUESTION = "What are the contract renewal terms?"
ANSWER = (
    "Most agreements renew automatically for a fixed period unless one party gives notice in time [1]. "
    "A few end on a fixed date and need a new signature, like the one with Oskarlund Semitech [1, 3], and "
    "the Sablewick terms run until somebody terminates them [1]. The agreement with Quellmark Ceramics "
    "renews for twelve months at a time; its notice period is 90 days [2]."
)
PROMPT = "You answer questions from numbered sources.\n\nRules:\n- Use only what the sources say."
ATTEMPTS = [
    {"strategy": "question", "query": QUESTION, "confidence": 0.71, "took": False}
    | {"start_ms": 12.4, "retrieve_ms": 70.0, "rerank_ms": 31.5},
    {"strategy": "spelling", "query": QUESTION.lower(), "confidence": 0.93, "took": True}
    | {"start_ms": 115.1, "retrieve_ms": 71.0, "rerank_ms": 30.0},
]
MARKUP = "<img src=x onerror=alert(1)> [1]"


def sources():
    paragraphs = (SAMPLE / OVERVIEW).read_text().split("\n\n")
    texts = [
        (OVERVIEW, "\n\n".join(paragraphs[3:5])),
        ("contracts/quellmark-ceramics-supply-2025.md", "It renews for successive periods of twelve months."),
        ("contracts/oskarlund-semitech-supply.md", "There is no automatic renewal: it needs an agreement."),
        (OVERVIEW, "\n\n".join(paragraphs[10:12])),
        ("handbook/procurement-policy.md", "Contracts over EUR 150,000 are not renewed by silence."),
    ]
    return [source_of(text, document, n) for n, (document, text) in enumerate(texts, 1)]


def known():
    """What the service says of its answer."""
    found = {"sources": sources(), "confidence": 0.93, "attempts": ATTEMPTS}
    figures = {"input_tokens": 862, "output_tokens": 74, "cost_usd": 0.00052}
    times = {"retrieve_ms": 141.0, "rerank_ms": 61.5, "generate_ms": 2655.8}
    return {**found, **figures, **times, "prompt_sha256": f"ab12cd34{'0' * 56}"}


def made_up(n=60):
    """Calls of a day, the oldest first: some failed, some of unknown cost, by two versions of the prompt."""
    draw, at = random.Random(3), now()
    questions = [json.loads(line)["text"] for line in (SAMPLE.parent / "questions.jsonl").open()][:n]
    failed = {"status": 504, "error_type": "timeout_error", "input_tokens": None, "output_tokens": None}
    for i in reversed(range(n)):
        generate, sure = draw.lognormvariate(7.6, 0.45), min(0.99, draw.betavariate(6, 1.2))
        given = {
            "trace_id": f"{i + 1:032x}",
            "started_at": at - timedelta(seconds=40 + 1200 * i),
            "question": None if i == 5 else questions[i % len(questions)],
            "answer": MARKUP if i == 0 else ANSWER,
            "sources": sources(),
            "attempts": ATTEMPTS,
            "confidence": sure,
            "abstained": sure < 0.6,
            "prompt_version": 1 + i % 2,
            "prompt_sha256": sha(str(i % 2)),
            "prompt_text": PROMPT,
            "cost_usd": None if i % 7 == 0 else draw.uniform(2e-4, 6e-4),
            "total_ms": generate + 220,
            "generate_ms": generate,
        }
        yield call_of(**given | (failed if i % 15 == 3 else {}))


@pytest.fixture
def service(tmp_path):
    """The service on a real port: its address, answerer, keys, and the store of its telemetry."""
    answerer = FakeAnswerer(text=ANSWER, fields=known())
    answerer.library = Shelf(str(path.relative_to(SAMPLE)) for path in sorted(SAMPLE.rglob("*.*")))
    recorder, keys = Recorder.from_url(f"sqlite:///{tmp_path}/telemetry.db"), Keys(tmp_path / "keys.json")
    write_rows(recorder.store, list(made_up()))
    with listening(app_of(answerer, recorder, keys)) as address:
        yield SimpleNamespace(address=address, answerer=answerer, keys=keys, store=recorder.store)


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

    def open_page(path="/", dark=False, width=1280, clock=False):
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
        page.goto(service.address + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong
