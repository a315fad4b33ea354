"""A run as a page, in a real browser: it walks through the turns, and what a document says stays text."""

import pytest

from shared.errors import UserError
from shared.office import Office
from step3_rag.agent import loop, page, verify
from step3_rag.agent.verify import Task
from step3_rag.agent.world import SAMPLE, LookUp, World
from tests.step5.pages_parts import browser  # noqa: F401

BAD = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"


@pytest.fixture
def run(api):
    api.enqueue(tool_uses=[("ask_documents", {})])
    api.enqueue(tool_uses=[("create_ticket", {"title": "Kettle"})])
    api.enqueue(f"It is 60 days. {BAD}")
    world = World(
        SAMPLE, lambda _question: LookUp(f"Notice is 60 days. {BAD}", ("supply.md",)), "How long? <b>"
    )
    transcript = loop.run(api.client, "scripted", world)
    wanted = Task(id="t", kind="one", request="How long?", looks_up=True, values=[["60 days"], ["90 days"]])
    return transcript, verify.verify(wanted, transcript, Office())


@pytest.fixture
def file(run, tmp_path):
    path = tmp_path / "run.html"
    page.write_page(path, *run)
    return path


def test_the_page_has_the_turns_and_says_where_the_outcome_failed(file):
    html = file.read_text(encoding="utf-8")
    assert "How long? &lt;b&gt;" in html
    assert BAD not in html
    assert html.count('class="turn"') == 3
    assert '<li class="failed"><strong>failed</strong> the answer has 90 days' in html
    assert '<li class="passed"><strong>passed</strong> the answer has 60 days' in html
    assert "<strong>refused</strong> The user did not allow this." in html
    assert "from supply.md" in html
    assert "http" not in html.replace("http-equiv", "")


def test_a_browser_walks_through_the_turns(file, browser):  # noqa: F811
    tab = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    problems = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    tab.goto(file.as_uri())
    visible = "main > section:visible"
    assert tab.locator(visible).count() == 4
    for _ in range(3):
        tab.keyboard.press("ArrowLeft")
    assert tab.locator(visible).count() == 1
    assert tab.locator("#place").inner_text() == "Turn 1"
    tab.locator("#next").click()
    assert tab.locator(visible).count() == 2
    tab.locator("#all").click()
    assert tab.locator(visible).count() == 4
    assert tab.title() == "A run of the agent"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert problems == []
    tab.close()


def test_without_scripts_all_turns_are_open(file, browser):  # noqa: F811
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(file.as_uri())
    assert tab.locator("main > section:visible").count() == 4
    assert not tab.locator("nav").is_visible()
    context.close()


def test_a_page_that_cannot_be_written_is_refused_in_one_line(run, tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        page.write_page(tmp_path / "none" / "run.html", *run)
