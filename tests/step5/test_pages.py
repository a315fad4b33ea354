"""The pages' files, and the page to ask on, in a real browser."""

import asyncio
import json
import re

import pytest

from step5_serving.api.routes.pages import FOLDER
from step5_serving.errors import ApiError
from step5_serving.telemetry.reading import list_calls
from tests.step5.pages_parts import ANSWER, QUESTION, RENEW, known, until
from tests.step5.service_parts import app_of, get
from tests.step5.telemetry_parts import ATTEMPTS, source_of

# --- files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/dashboard", "/pages/ask.js", "/favicon.ico"])
def test_browsers_ask_whether_a_file_has_changed(path):
    got = get(app_of(), path)
    assert (got.status_code, got.headers["cache-control"]) == (200, "no-cache")
    again = get(app_of(), path, headers={"If-None-Match": got.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_untrusted_text_has_no_way_to_markup_or_code():
    ways = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|DOMParser")
    for path in FOLDER.glob("*.*"):  # uPlot, in a folder of its own, is not ours
        assert not ways.search(path.read_text()), path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_has_enough_contrast(dark):
    """At least 4.5 to 1, as WCAG 2.2 asks for: all pairs of text and background that style.css uses."""
    light, night = (FOLDER / "style.css").read_text().split("@media (prefers-color-scheme: dark)")[:2]
    colours = dict(re.findall(r"--([\w-]+): #(\w+)", night if dark else light))

    def luminance(name):
        code = colours[name]
        channels = [int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] if len(code) == 6 else [1, 1, 1]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    pairs = [(text, behind) for text in ("ink", "soft") for behind in ("page", "card", "raised")]
    pairs += [(name, f"{name}-wash") for name in ("accent", "warn", "bad", "good")]
    pairs += [("accent", "card"), ("bad", "card"), ("accent-ink", "accent"), ("ink", "mark")]
    for pair in pairs:
        darker, lighter = sorted(map(luminance, pair))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, pair


# --- the two parsers, with the text cut at every place ---------------------------------------------------


def test_events_are_the_same_wherever_the_network_cuts(look):
    stream = (
        ': hello\n\nevent: delta\r\ndata: {"text": "Zürich 東京 🚀"}\r\n\r\n'
        "data: one\ndata:two\rdata\r\rid: 3\nevent: empty\n\nevent: done\r\ndata: {}\r\n\r\ndata: unfinished"
    )
    got = look().evaluate(
        """async (stream) => {
          const { events } = await import("/pages/sse.js");
          const bytes = new TextEncoder().encode(stream);
          const read = async (...cuts) => {
            const pieces = [0, ...cuts].map((cut, i) => bytes.slice(cut, [...cuts, bytes.length][i]));
            const found = [];
            const body = new ReadableStream({
              start: (control) => { pieces.forEach((piece) => control.enqueue(piece)); control.close(); },
            });
            for await (const event of events(body)) found.push(event);
            return JSON.stringify(found);
          };
          const ways = new Set([await read(...bytes.keys())]);
          for (let cut = 0; cut <= bytes.length; cut += 1) ways.add(await read(cut));
          return [...ways];
        }""",
        stream,
    )
    assert [json.loads(way) for way in got] == [
        [
            {"event": "delta", "data": '{"text": "Zürich 東京 🚀"}'},
            {"event": "message", "data": "one\ntwo\n"},
            {"event": "done", "data": "{}"},
        ]
    ]


def test_citations_are_the_same_wherever_the_text_is_cut(look):
    got = look().evaluate(
        """async () => {
          const { CitedText } = await import("/pages/cited.js");
          const text = "Yes [1]. Both [1, 2,2]; [9] is none. a[0] = [x] and [1";
          const read = (pieces) => {
            const target = document.createElement("div");
            const cited = new CitedText(target, [{ number: 1, place: "a" }, { number: 2, place: "b" }]);
            pieces.forEach((piece) => cited.write(piece));
            cited.end();
            return target.innerHTML.replace(/ (href|title|aria-label)="[^"]*"/g, "");
          };
          const ways = new Set([read([...text])]);
          [...text].forEach((_, cut) => ways.add(read([text.slice(0, cut), text.slice(cut)])));
          return [...ways];
        }"""
    )
    link = '<a class="cite">{}</a>'.format
    missing = '<span class="cite missing">{}</span>'.format
    assert got == [
        f"Yes {link(1)}. Both {link(1)}{link(2)}; {missing(9)} is none. a{missing(0)} = [x] and [1"
    ]


# --- asking ---------------------------------------------------------------------------------------------


def ask(page, question=QUESTION):
    page.locator("#question").fill(question)
    page.keyboard.press("Enter")


def line(page):
    """The error's line, once there is one."""
    page.locator("#error:not([hidden])").wait_for()
    return page.locator("#error").inner_text()


def asked_of(service):
    """What was asked, as it was sent."""
    return [query.model_dump(exclude_unset=True) for query in service.answerer.asked]


def test_feedback(look, service):
    page = look()
    ask(page)
    page.get_by_role("button", name="Bad answer").click()
    page.get_by_text("Thank you: it is kept").wait_for()
    page.get_by_label("Comment on the answer").fill("The old contract.")
    page.keyboard.press("Enter")
    until(page, lambda: latest(service)["comment"] == "The old contract.")
    assert latest(service)["thumb"] == "down"
    assert page.get_by_role("button", name="Bad answer").get_attribute("aria-pressed") == "true"


def latest(service):
    """The row of the latest call."""
    return list_calls(service.store, 1)["calls"][0]


def test_asking_by_keyboard_alone_and_reading_along(look, service):
    service.answerer.pace = 0.03
    page = look()
    focused = "document.activeElement.id || document.activeElement.className"
    assert page.evaluate(focused) == "question"
    page.keyboard.press("Shift+Tab+Tab")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "question"

    page.keyboard.type("What are the contract")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("renewal terms?")
    page.keyboard.press("Enter")
    page.locator("#stop").wait_for()
    seen = []
    while page.locator("#answer").get_attribute("aria-busy") == "true":
        seen.append(page.locator("#answer").inner_text())
        page.wait_for_timeout(60)
    lengths = [len(text) for text in seen]
    assert lengths == sorted(lengths)
    assert len({*lengths}) >= 4  # it grew, and was not shown at once
    assert asked_of(service) == [{"question": "What are the contract\nrenewal terms?", "k": 5}]

    said = re.sub(r" \[([\d, ]+)\]", lambda found: " " + found[1].replace(", ", ""), ANSWER)
    assert page.locator("#answer").inner_text().strip() == said
    assert re.fullmatch(r"Answered after [\d.]+ s\.", page.locator("[role=status]").inner_text())
    assert page.locator("#passages-title").inner_text() == "3 of 5 passages cited"
    facts = page.locator("#facts").inner_text()
    wanted = "0.93|862 in · 74 out|$0.00052|answer/1@ab12cd34|retrieve 141 ms|generate 2.7 s"
    for fact in wanted.split("|"):
        assert fact in facts
    assert page.locator(".attempts .taken b").first.inner_text() == "spelling"

    for _ in range(12):  # on to the first citation
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "cite":
            break
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "passage-1"
    shown = page.locator(".passage.shown")
    assert shown.count() == 1
    assert "renewal-overview.md" in shown.inner_text()
    assert "key account managers" in shown.inner_text()  # all of it
    assert shown.locator("mark").inner_text().strip() == f"{RENEW}."
    shown.locator(".back").press("Enter")
    assert page.evaluate("document.activeElement.className") == "cite"
    page.locator("#facts .id").click()
    page.locator("#call .waterfall").wait_for()
    assert page.url.endswith(f"/dashboard#call={latest(service)['span_id']}")


def test_stopping_ends_the_call_and_keeps_what_came(look, service):
    service.answerer.pace = 0.05
    page = look()
    ways = (lambda: page.keyboard.press("Escape"), lambda: page.locator("#stop").click())
    for n, stop in enumerate(ways, 1):
        ask(page)
        until(page, lambda: len(page.locator("#answer").inner_text()) > 20)
        stop()
        assert page.locator("[role=status]").inner_text() == "Stopped."
        length = len(page.locator("#answer").inner_text())
        page.wait_for_timeout(300)
        assert 20 < len(page.locator("#answer").inner_text()) == length < len(ANSWER) / 2
        assert service.answerer.cancelled == n
        assert page.locator("#error").is_hidden()
        assert page.evaluate("document.activeElement.id") == "question"
    service.answerer.pace = 0
    ask(page)  # and the next one works
    page.locator("#facts .id").wait_for()


def test_markup_in_answers_questions_and_passages_stays_text(look, service):
    attack = '<img src=x onerror="document.title=1"><script>document.title=1</script></p>[1]<b>'
    attempt = {**ATTEMPTS[1], "strategy": attack, "query": attack}
    service.answerer.text = service.answerer.model = attack
    found = {"sources": [source_of(attack, attack)], "attempts": [attempt], "prompt_id": attack}
    service.answerer.fields |= found
    page = look()
    title = page.title()
    ask(page, attack)
    page.locator("#facts .id").wait_for()
    assert page.locator("#answer").inner_text().startswith('<img src=x onerror="')
    assert page.locator("#result img, #result script, #answer b, .passage b").count() == 0
    assert page.locator(".passage-text").inner_text() == attack
    assert page.title() == title


FAILURES = [  # status, message, Retry-After; what the page says
    ((400, "collection x is not known: use a", None), "Collection x is not known: use a."),
    ((429, "2 a second at most", 12), "2 a second at most. Try again in 12 seconds."),
    ((429, "no money", 9000), "No money. Try again in 3 hours."),
    ((503, "the queue is full", 1), "The queue is full. Try again in 1 second."),
]


def test_what_goes_wrong_is_one_friendly_line(look, service):
    page, answerer = look(), service.answerer
    for (status, message, seconds), said in FAILURES:
        answerer.refusal = ApiError(status, "...", message, retry_after=seconds)
        ask(page)
        until(page, lambda said=said: line(page) == said)
        assert page.locator("#result").is_hidden()
        assert page.locator("#send").is_visible()
    answerer.refusal, answerer.error = None, ApiError(502, "api_error", "the model failed")
    ask(page)
    until(page, lambda: line(page) == "The model failed.")
    # It ends without its last event, and slowly: Chromium drops what it has not passed on by then.
    answerer.error, answerer.pace = asyncio.CancelledError(), 0.01
    ask(page)
    until(page, lambda: line(page).startswith("The connection broke off"))
    assert page.locator("#answer").inner_text().startswith("Most agreements renew")  # what came stays
    asked = len(answerer.asked)
    page.route("**/query/stream", lambda route: route.fulfill(status=500))  # a proxy's reply
    ask(page)
    until(page, lambda: line(page) == "The service failed (500).")
    page.route("**/query/stream", lambda route: route.abort())
    ask(page)
    until(page, lambda: "can’t be reached" in line(page))
    page.unroute("**/query/stream")
    page.locator("#question").fill("x" * 2001)
    assert page.locator("#length").inner_text() == "1 over the limit of 2,000 characters"
    page.keyboard.press("Enter")
    assert line(page) == "The question has 2,001 characters: 2,000 are allowed."
    ask(page, "  ")
    assert len(answerer.asked) == asked


def test_a_key_is_asked_for_when_it_is_needed(look, service):
    _, key = service.keys.add("ann", ["ask"])
    page = look(has_key=False)
    assert page.locator("#key-form").is_hidden()
    ask(page)
    assert line(page) == "This service needs an API key."
    assert page.evaluate("document.activeElement.id") == "key"
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    until(page, lambda: line(page) == "This API key was not accepted.")
    page.keyboard.type(key)
    page.keyboard.press("Enter")
    page.locator("#facts .id").wait_for()
    assert page.locator("#key-form").is_hidden()
    assert page.locator("#error").is_hidden()
    assert page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]
    until(page, lambda: page.locator("#collection option").count() > 1)  # what needed the key is there now


def test_an_answer_without_a_source_or_a_price_says_so(look, service):
    service.answerer.text = "I don't know."
    unknown = dict.fromkeys(("confidence", "cost_usd", "input_tokens", "output_tokens"))
    service.answerer.fields |= {"abstained": True, **unknown}
    page = look()
    ask(page)
    page.locator("#facts .id").wait_for()
    assert "does not know, and says so" in page.locator("#note").inner_text()
    assert page.locator("[role=status]").inner_text().startswith("No answer after ")
    facts = page.locator("#facts").inner_text()
    assert "unknown (this model has no price)" in facts
    assert "unknown in · unknown out" in facts

    service.answerer.text, service.answerer.fields = "EUR 40.", known()
    ask(page)
    until(page, lambda: page.locator("#note").inner_text().startswith("It cites no passage."))
    assert page.locator("#passages-title").inner_text() == "5 passages found, none cited"
    service.answerer.text = "EUR 40 [2]."
    ask(page)
    until(page, lambda: page.locator("#passages-title").inner_text() == "1 of 5 passages cited")
    assert page.locator("#note").is_hidden()


def test_options_and_examples(look, service):
    page = look("/?q=When+does+it+renew%3F")
    assert page.locator("#question").input_value() == "When does it renew?"
    assert asked_of(service) == []  # a link asks nothing by itself
    page.locator("#options summary").click()
    page.locator("#collection").select_option("contracts")
    page.locator("#k").fill("3")
    page.locator("#prompt-version").fill("2")
    page.locator("#reader").select_option("quote")
    assert page.locator("#chosen").inner_text() == ": contracts, 3 passages, prompt 2, quote"
    page.locator(".example").first.click()
    page.locator("#facts .id").wait_for()
    sent = {"question": QUESTION, "k": 3, "collection": "contracts", "prompt_version": 2, "reader": "quote"}
    assert asked_of(service) == [sent]
    page.locator("#k").fill("99")
    page.locator("#send").click()
    assert len(service.answerer.asked) == 1


# --- how it looks ---------------------------------------------------------------------------------------

NO_SCROLL = "[document.documentElement.scrollWidth, innerWidth]"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_in_light_and_dark_on_a_narrow_screen(look, service, dark):
    service.answerer.model = "A" * 60
    service.answerer.fields["abstained"] = True
    page = look(dark=dark, width=360)
    ask(page, "Whatisthelongestwordthatyouknowandhowisitwritten" * 3)
    page.locator("#facts .id").wait_for()
    page.locator("#options summary").click()
    assert page.evaluate(NO_SCROLL) == [360, 360]
    style = page.evaluate(
        "(({ color, backgroundColor }) => [color, backgroundColor])(getComputedStyle(document.body))"
    )
    ink, background = (int(re.search(r"\d+", each)[0]) for each in style)
    assert (background < 60, ink > 200) == (dark, dark)

    page = look("/dashboard", dark=dark, width=360)
    page.locator(".calls tbody tr").first.wait_for()
    assert page.evaluate(NO_SCROLL) == [360, 360]
    page.locator(".calls a").nth(1).click()
    page.locator("#call .waterfall").wait_for()
    assert page.locator("#call-body").evaluate("each => each.scrollWidth <= each.clientWidth")
