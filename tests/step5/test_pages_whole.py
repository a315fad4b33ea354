"""The pages on the real service, with an answerer that needs no model: what they show is what it says."""

import pytest

from step5_serving.api.app import create_app
from step5_serving.config import Config
from step5_serving.rag.scripted import ANSWER, ScriptedAnswerer
from step5_serving.telemetry.writer import Recorder
from tests.step5.browsing import until
from tests.step5.service_parts import listening


@pytest.fixture
def address(tmp_path):
    recorder = Recorder.from_url(f"sqlite:///{tmp_path / 'telemetry.db'}")
    config = Config(keys=tmp_path / "keys.json")
    with listening(create_app(config, ScriptedAnswerer(pace=0.02), recorder)) as address:
        yield address


def test_from_a_question_to_its_row_on_the_dashboard(look, address):
    page = look("/", at=address)
    page.locator("#question").fill("How long is the notice period?")
    page.keyboard.press("Enter")
    page.locator("#facts .id").wait_for()
    assert page.locator("#answer").inner_text().replace(" 1", " [1]").strip() == ANSWER
    assert page.locator("#passages-title").inner_text() == "1 of 1 passage cited"
    facts = page.locator("#facts").inner_text()
    assert "164 in · 18 out" in facts
    assert "unknown (this model has no price)" in facts
    trace = page.locator("#facts .id").inner_text()

    page.locator("#options summary").click()
    page.locator("#prompt-version").fill("9")
    page.locator("#send").click()
    page.locator("#error:not([hidden])").wait_for()
    assert page.locator("#error").inner_text() == "prompt_version 9 does not exist: there are 1, 2."

    page = look(f"/dashboard#call={trace}", at=address)
    page.locator("#call .waterfall").wait_for()
    body = page.locator("#call-body").inner_text()
    assert "How long is the notice period?" in body
    assert "It renews for two years" in body
    assert "answer/1@" in body
    page.keyboard.press("Escape")
    page.locator(".calls tbody tr").first.wait_for()
    # Turned away: the page asked for /documents, and this service has none.
    said = page.locator("#tiles dd").first.inner_text().split("\n")
    assert said == ["2", "0 abstained · 1 refused"]
    refused, answered = page.locator(".calls .tag").all_inner_texts()
    assert refused.startswith("40")
    assert answered == "answered"
    assert page.locator(".chart canvas").count() > 3
    page.locator("input[value='1h']").check(force=True)
    until(page, lambda: "per 2 min" in page.locator(".chart .unit").first.inner_text())
