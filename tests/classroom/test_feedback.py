"""Results as files: what comes back is what was saved, and learners see no more than they may."""

import json
import re

import pytest
from markdown_it import MarkdownIt

from classroom.gradebook.feedback import fenced, render
from classroom.grading.result import Result
from classroom.intake.harmless import harmless
from tests.classroom.results import BROKEN, HOSTILE, NOT_ATTEMPTED, PARTIAL, PUBLIC, SAMPLES, SECRET, UNSAFE

OWN = r"<details><summary>What went wrong: [a-z ]+</summary>|</details>"
MARKUP = {"link_open", "image", "em_open", "s_open", "html_inline", "hr"}


def markdown_tokens(text):
    """All tokens of a report, which holds no link, picture, emphasis or HTML but the report's own."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = [each for token in parser.parse(text) for each in (token, *(token.children or []))]
    assert not {token.type for token in tokens} & MARKUP
    for token in tokens:
        if token.type == "html_block":
            assert re.fullmatch(OWN, token.content.strip())
    return tokens


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_kind_of_result_can_be_read_back_and_hides_what_is_hidden(sample):
    result = SAMPLES[sample]
    assert Result.from_dict(json.loads(result.to_json())) == result
    text = render(result)
    assert f"{result.score} of {result.points} points" in text
    assert SECRET not in text
    assert str(result.seed) not in text
    assert len(text) < 60_000
    assert not re.search(r"^\s*::|##\[|##vso\[", text, re.MULTILINE)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)
    kinds = [token.type for token in markdown_tokens(text)]
    assert kinds.count("td_open") == 3 * len(result.items)
    wrong = [item for item in result.items if item.status != "passed"]
    assert kinds.count("heading_open") == 1 + len(wrong)
    failed = sum(test.status not in ("passed", "not attempted") for item in wrong for test in item.tests)
    assert kinds.count("fence") == failed


def test_a_result_of_an_older_version_still_opens():
    told = json.loads(PARTIAL.to_json()) | {"isolation": "bubblewrap"}
    test = told["items"][0]["tests"][0]
    test |= {"visibility": "after_due_date", "status": "blocked", "score": 0}
    told["items"][0]["score"] = 0
    old = Result.from_dict(told)
    assert old.isolation == "bubblewrap"
    assert "blocked" in render(old)


def test_learners_see_what_went_wrong_and_what_public_tests_expected():
    shown = render(PARTIAL)
    for part in ("Any number of rankings, with any k.", "at ['sun']: 0.25", "rrf([{'sun': 0.4}], k=3)"):
        assert part in shown
    assert "**0/7**" in shown
    assert "0.0317" in render(PUBLIC)
    assert not re.search("rlimits|unsafe|conftest", render(UNSAFE), re.IGNORECASE)
    assert "no fault of yours" in render(BROKEN)
    tokens = markdown_tokens(render(NOT_ATTEMPTED))
    words = "".join(token.content for token in tokens if token.type in ("text", "text_special"))
    assert "Any ranking | any *k*, also <empty> ones." in words
    assert fenced("a\n`````\nb").startswith("``````text\n")
    assert render(HOSTILE).partition("</details>\n\n")[0].count("\ncame: ") == 3


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("::set-output name=x::1", ": :set-output name=x::1"),
        ("a\n\n \u00a0::x", "a\n\n \u00a0: :x"),
        ("\u200b:\u200b:x", ": :x"),
        ("so ##[debug] and ##vso[x], ###[y]", "so # #[debug] and # #vso[x], ## #[y]"),
        ("std::vector", "std::vector"),
    ],
)
def test_commands_to_a_runner_are_split(text, plain):
    assert harmless(text) == plain
    assert harmless(plain) == plain
