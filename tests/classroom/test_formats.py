"""Every format on every kind of result: valid by its schema, right in points, silent about what is hidden."""

import copy
import json
import re
from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from classroom.grading.result import Call, Result
from classroom.intake.harmless import harmless
from classroom.upload.formats import markdown, render
from tests.classroom.results import (
    BROKEN,
    FULL,
    HOSTILE,
    NOT_ATTEMPTED,
    PARTIAL,
    PUBLIC,
    SAMPLES,
    SECRET,
    SMALL,
    UNSAFE,
    WAITING,
    item,
)
from tests.conftest import ROOT

SCHEMAS = ROOT / "classroom" / "upload" / "schemas"
LEARNERS = ("gradescope", "markdown")  # what they read


def validate(name, document):
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "Source: " in schema["description"]
    jsonschema.Draft202012Validator(schema).validate(document)


def strings(value):
    """All texts in a document, names of fields included."""
    if isinstance(value, dict):
        return [*value, *(text for each in value.values() for text in strings(each))]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return [value] if isinstance(value, str) else []


def seen_by_learners(result, name):
    """All that a format shows to learners, as one text."""
    if name == "markdown":
        return render(result, name)
    made = json.loads(render(result, name))
    made["tests"] = [test for test in made["tests"] if test["visibility"] == "visible"]
    del made["extra_data"]  # is stored, and shown to nobody
    return "\n".join(strings(made))


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_kind_of_result_has_its_points_in_every_format_and_hides_what_is_hidden(sample):
    result = SAMPLES[sample]
    validate("json", json.loads(result.to_json()))
    assert f"{result.score} of {result.points} points" in render(result, "markdown")
    made = json.loads(render(result, "gradescope"))
    validate("gradescope", made)
    worth = [test for test in made["tests"] if "score" in test]
    assert made["score"] == sum(test["score"] for test in worth) == result.score
    assert sum(test["max_score"] for test in worth) == result.points
    for name in LEARNERS:
        shown = seen_by_learners(result, name)
        assert SECRET not in shown
        assert str(result.seed) not in shown
        assert len(render(result, name)) < 60_000


@pytest.mark.parametrize(
    ("name", "break_"),
    [
        ("json", lambda made: made["items"][0]["tests"][0].update(score="3")),
        ("gradescope", lambda made: made["tests"][0].update(visibility="public")),
        ("gradescope", lambda made: made.update(grade=1)),
    ],
)
def test_the_schemas_refuse_what_is_wrong(name, break_):
    wrong = copy.deepcopy(json.loads(render(PARTIAL, name)))
    break_(wrong)
    with pytest.raises(jsonschema.ValidationError):
        validate(name, wrong)


def test_the_whole_result_comes_back():
    for result in (FULL, PARTIAL, UNSAFE, PUBLIC):
        assert Result.from_dict(json.loads(result.to_json())) == result


# --- what learners may see ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_see_what_went_wrong_and_what_public_tests_expected(name):
    shown = seen_by_learners(PARTIAL, name)
    for part in ("Any number of rankings, with any k.", "at ['sun']: 0.25", "rrf([{'sun': 0.4}], k=3)"):
        assert re.sub(r"\W", "", part) in re.sub(r"&#x27;|\W", "", shown), part
    assert re.search(r"\b0( of |/)7\b", shown)
    assert "0.0317" in seen_by_learners(PUBLIC, name)
    waiting = seen_by_learners(WAITING, name)
    assert "grade-too-early" not in waiting
    assert "ndcg([2])" not in waiting
    unsafe = seen_by_learners(UNSAFE, name)
    assert not re.search("rlimits|unsafe|conftest", unsafe, re.IGNORECASE)
    assert "no fault of yours" in seen_by_learners(BROKEN, name)


def test_gradescope_knows_the_due_date_and_learners_no_total_until_then():
    made = json.loads(render(WAITING, "gradescope"))
    [late] = [test for test in made["tests"] if test.get("visibility") == "after_due_date"]
    assert "grade-too-early" in late["output"]
    assert "Graded nDCG" not in made["output"]
    assert "of 25" not in made["output"]
    kinds = [test["visibility"] for test in made["tests"]]
    assert kinds == ["visible", "hidden", "visible", "hidden", "after_due_date", "hidden"]


def test_instructors_hear_of_unsafe_isolation_and_of_bugs_of_the_grader():
    assert json.loads(render(UNSAFE, "json"))["safe"] is False
    note = json.loads(render(UNSAFE, "gradescope"))["tests"][-1]
    assert note["visibility"] == "hidden"
    assert "score" not in note
    for part in ("UNSAFE", "rlimits", "conftest.py was not taken over", f"debug: {SECRET}"):
        assert part in note["output"]
    assert len(json.loads(render(FULL, "gradescope"))["tests"]) == 4  # nothing to say, no note
    broken = json.loads(render(BROKEN, "gradescope"))["tests"]
    assert len([test for test in broken if "KeyError" in test.get("output", "")]) == 1


# --- hostile text ---------------------------------------------------------------------------------------


def markdown_tokens(text):
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for token in parser.parse(text):
        yield token
        yield from token.children or []


OWN = r"<details><summary>(What went wrong: [a-z ]+|What the submission printed)</summary>|</details>"
MARKUP = {"link_open", "image", "em_open", "s_open", "html_inline", "hr"}


def check_markdown(text):
    """Only what the report itself makes: no link, picture, emphasis or HTML of somebody else's."""
    tokens = list(markdown_tokens(text))
    assert not {token.type for token in tokens} & MARKUP
    for token in tokens:
        if token.type == "html_block":
            assert re.fullmatch(OWN, token.content.strip())
    return tokens


@pytest.mark.parametrize("sample", SAMPLES)
def test_markdown_holds_no_markup_but_its_own(sample):
    result = SAMPLES[sample]
    kinds = [token.type for token in check_markdown(render(result, "markdown"))]
    assert kinds.count("td_open") == 3 * len(result.items)
    wrong = [item for item in result.items if item.status != "passed"]
    assert kinds.count("heading_open") == 1 + len(wrong)
    failed = sum(test.status not in ("passed", "not attempted") for item in wrong for test in item.tests)
    assert kinds.count("fence") == failed + (sample == "public")


def test_markdown_shows_the_rubric_as_it_stands_and_few_calls():
    text = render(NOT_ATTEMPTED, "markdown")
    words = [token.content for token in markdown_tokens(text) if token.type in ("text", "text_special")]
    assert "Any ranking | any *k*, also <empty> ones." in "".join(words)
    assert markdown.fenced("a\n`````\nb").startswith("``````text\n")
    first = render(HOSTILE, "markdown").partition("</details>\n\n")[0]
    assert first.count("\ncame: ") == 3


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


def check_harmless(text):
    assert not re.search(r"^\s*::|##\[|##vso\[", text, re.MULTILINE)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)


def test_no_line_is_a_command_to_a_runner_or_a_terminal_and_nothing_is_html():
    check_harmless(render(HOSTILE, "markdown"))
    made = json.loads(render(HOSTILE, "gradescope"))
    for text in strings(made):
        check_harmless(text)
    assert {made[key] for key in ("output_format", "test_output_format", "test_name_format")} == {"text"}
    assert made["stdout_visibility"] == "hidden"


TEXT = st.text(st.characters(), max_size=60)


@settings(max_examples=60, deadline=None)
@given(TEXT, TEXT, TEXT, st.sampled_from(["public", "hidden", "after_due_date"]))
def test_any_text_at_all_gives_sound_files(submission, cause, value, visibility):
    test = replace(SMALL, score=0, status="failed", cause=cause, visibility=visibility)
    test = replace(test, calls=(Call(value, cause, value, cause),))
    whole = {"submission": submission, "output": cause, "notes": (value,)}
    result = replace(FULL, items=(item("3.1", "Fusion", test),), **whole)
    text = render(result, "gradescope")
    text.encode()
    validate("gradescope", json.loads(text))
    check_markdown(render(result, "markdown"))
