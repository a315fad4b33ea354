"""Every format on every kind of result: valid by its schema, right in points, silent about what is hidden."""

import copy
import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from classroom.grading.result import Call, Result
from classroom.intake.harmless import harmless
from classroom.upload.formats import FORMATS, markdown, render, write
from shared.errors import UserError
from tests.classroom.results import (
    BROKEN,
    CRASHED,
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
JSON = ("json", "gradescope", "classroom50")
LEARNERS = [name for name in FORMATS if name != "json"]
NAMES = {
    "CLASSROOM": "cs-1",
    "ASSIGNMENT": "rag",
    "ASSIGNMENT_TYPE": "team",
    "OWNER": "group-3",
    "USERNAME": "group-3",
    "SUBMISSION_TAG": "submit/2026-11-27T10-00-00Z-a1b2c3d",
    "COMMIT_URL": "https://github.com/o/r/commit/a1b2c3d",
    "RELEASE_URL": "https://github.com/o/r/releases/tag/submit",
    "REVIEW_URL": "https://github.com/o/r/compare/1...2",
}


@pytest.fixture(autouse=True)
def _outside_of_actions(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def documents(name, text):
    """The JSON documents of a format's text."""
    return [json.loads(text)]


def validate(name, document):
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
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
    texts = [FORMATS[name].render(result), *(make(result) for _, make in FORMATS[name].beside)]
    if name not in JSON:
        return "\n".join(texts)
    found = documents(name, texts[0])
    if name == "gradescope":
        tests = found[0].pop("tests")
        found[0].pop("extra_data")  # is stored, and shown to nobody
        found.append([test for test in tests if test["visibility"] == "visible"])
    return "\n".join(text for each in [*found, *texts[1:]] for text in strings(each))


# --- schemas --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("name", JSON)
def test_json_is_what_its_schema_says(name, sample):
    for document in documents(name, render(SAMPLES[sample], name)):
        validate(name, document)


@pytest.mark.parametrize(
    ("name", "break_"),
    [
        ("json", lambda made: made["items"][0]["tests"][0].update(score="3")),
        ("gradescope", lambda made: made["tests"][0].update(visibility="public")),
        ("gradescope", lambda made: made.update(grade=1)),
        ("classroom50", lambda made: made.update(score=True)),
        ("classroom50", lambda made: made.update(datetime="2026-11-27 10:00:05")),
        ("classroom50", lambda made: made.update(usernames=["ada"])),
    ],
)
def test_the_schemas_refuse_what_is_wrong(name, break_):
    document = documents(name, render(PARTIAL, name))[0]
    validate(name, document)
    wrong = copy.deepcopy(document)
    break_(wrong)
    with pytest.raises(jsonschema.ValidationError):
        validate(name, wrong)


def test_every_json_format_has_a_schema_that_names_its_source():
    found = {path.stem: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
    assert set(found) == {*JSON, "classroom50-assignment"}  # that one is of pack
    for schema in found.values():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert "Source: " in schema["description"]


# --- points ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES)
def test_all_formats_give_the_same_points(sample):
    result = SAMPLES[sample]
    [gradescope] = documents("gradescope", render(result, "gradescope"))
    worth = [test for test in gradescope["tests"] if "score" in test]
    assert gradescope["score"] == sum(test["score"] for test in worth) == result.score
    assert sum(test["max_score"] for test in worth) == result.points

    [classroom50] = documents("classroom50", render(result, "classroom50"))
    assert classroom50["score"] == sum(test["score"] for test in classroom50["tests"]) == result.score
    assert classroom50["max-score"] == sum(test["max-score"] for test in classroom50["tests"])
    assert all(test["score"] == (test["max-score"] if test["passed"] else 0) for test in classroom50["tests"])

    assert f"{result.score} of {result.points} points" in render(result, "markdown")


def test_the_native_format_gives_the_result_back():
    for result in (FULL, PARTIAL, UNSAFE, PUBLIC):
        assert Result.from_dict(json.loads(render(result, "json"))) == result


# --- what learners may see ------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("name", LEARNERS)
def test_nothing_that_is_hidden_reaches_learners(name, sample):
    shown = seen_by_learners(SAMPLES[sample], name)
    assert SECRET not in shown
    assert str(SAMPLES[sample].seed) not in shown


@pytest.mark.parametrize("name", LEARNERS)
def test_of_hidden_tests_learners_see_the_points_and_what_went_wrong(name):
    shown = seen_by_learners(PARTIAL, name)
    for part in ("Any number of rankings, with any k.", "at ['sun']: 0.25", "rrf([{'sun': 0.4}], k=3)"):
        assert re.sub(r"\W", "", part) in re.sub(r"&#x27;|\W", "", shown), part
    document = documents(name, render(PARTIAL, name))[0] if name in JSON else {}
    pairs = [(test.get("score"), test.get("max-score")) for test in document.get("tests", [])]
    assert re.search(r"\b0( of |/)7\b", shown) or (0, 7) in pairs or (0, None) in pairs


@pytest.mark.parametrize("name", LEARNERS)
def test_of_public_tests_they_see_what_was_expected(name):
    assert "0.0317" in seen_by_learners(PUBLIC, name)


@pytest.mark.parametrize("name", LEARNERS)
def test_feedback_waits_for_the_due_date(name):
    shown = seen_by_learners(WAITING, name)
    assert "grade-too-early" not in shown
    assert "ndcg([2])" not in shown


def test_gradescope_knows_the_due_date_and_learners_no_total_until_then():
    [made] = documents("gradescope", render(WAITING, "gradescope"))
    [late] = [test for test in made["tests"] if test.get("visibility") == "after_due_date"]
    assert "grade-too-early" in late["output"]
    assert "Graded nDCG" not in made["output"]
    assert "of 25" not in made["output"]
    assert [test["visibility"] for test in made["tests"]] == [
        "visible",
        "hidden",
        "visible",
        "hidden",
        "after_due_date",
        "hidden",
    ]


@pytest.mark.parametrize("name", LEARNERS)
def test_only_instructors_hear_of_unsafe_isolation(name):
    shown = seen_by_learners(UNSAFE, name)
    assert "rlimits" not in shown
    assert "unsafe" not in shown.lower()
    assert "conftest" not in shown


def test_instructors_do_hear_of_it():
    assert json.loads(render(UNSAFE, "json"))["safe"] is False
    [made] = documents("gradescope", render(UNSAFE, "gradescope"))
    note = made["tests"][-1]
    assert note["visibility"] == "hidden"
    assert "score" not in note
    for part in ("UNSAFE", "rlimits", "conftest.py was not taken over", f"debug: {SECRET}"):
        assert part in note["output"]
    assert len(json.loads(render(FULL, "gradescope"))["tests"]) == 4  # nothing to say, no note


def test_a_bug_of_the_grader_is_not_blamed_on_learners_nor_told_to_them():
    for name in LEARNERS:
        assert "no fault of yours" in seen_by_learners(BROKEN, name)
    hidden = [
        test["output"]
        for test in json.loads(render(BROKEN, "gradescope"))["tests"]
        if "KeyError" in test.get("output", "")
    ]
    assert len(hidden) == 1  # the instructors' box


# --- each format's own ----------------------------------------------------------------------------------


def test_gradescope_renders_no_text_as_html():
    made = json.loads(render(HOSTILE, "gradescope"))
    assert {made[key] for key in ("output_format", "test_output_format", "test_name_format")} == {"text"}
    assert made["stdout_visibility"] == "hidden"


def test_classroom50_takes_its_names_from_the_runner(monkeypatch):
    [made] = documents("classroom50", render(FULL, "classroom50"))
    assert made["classroom"] == "local"
    assert made["owner"] == "ada"
    assert made["submission"] == "submit/2026-11-27T10-00-05Z-local"
    for name, value in NAMES.items():
        monkeypatch.setenv(name, value)
    [made] = documents("classroom50", render(FULL, "classroom50"))
    validate("classroom50", made)
    keys = ("classroom", "assignment", "assignment_type", "owner", "owner")
    keys += ("submission", "commit", "release", "review")
    assert [made[key] for key in keys] == list(NAMES.values())


@pytest.mark.parametrize(
    ("started", "instant"),
    [
        ("2026-11-27T10:00:05Z", "2026-11-27T10:00:05Z"),
        ("2026-11-27T11:30:05.123456+01:30", "2026-11-27T10:00:05Z"),
        ("2026-11-27T10:00:05", "2026-11-27T10:00:05Z"),
        ("yesterday", "1970-01-01T00:00:00Z"),
    ],
)
def test_classroom50_writes_utc(started, instant):
    assert json.loads(render(replace(FULL, started=started), "classroom50"))["datetime"] == instant


# --- JUnit ----------------------------------------------------------------------------------------------

# What an element may hold, by Jenkins' junit-10.xsd: children, attributes that must be, and that may be.
JUNIT = {
    "testsuites": ({"testsuite"}, set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"testcase"},
        {"name", "tests", "failures", "errors"},
        {"skipped", "time", "timestamp", "id"},
    ),
    "testcase": ({"failure", "error"}, {"name", "classname", "time"}, set()),
    "failure": (set(), set(), {"message", "type"}),
    "error": (set(), set(), {"message", "type"}),
}


def check_junit(text):
    """The root of a JUnit document, when it is one whose counts are right."""
    root = ET.fromstring(text.encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        children, needed, allowed = JUNIT[element.tag]
        assert {child.tag for child in element} <= children
        assert needed <= set(element.attrib) <= needed | allowed
        assert re.fullmatch(r"\d+\.\d+", element.get("time", "0.0"))
    for element in [root, *root.findall("testsuite")]:
        assert int(element.get("tests", "")) == len(list(element.iter("testcase")))
        assert int(element.get("failures", "")) == len(list(element.iter("failure")))
        assert int(element.get("errors", "")) == len(list(element.iter("error")))
    assert all(len(case) <= 1 for case in root.iter("testcase"))
    return root


@pytest.mark.parametrize("sample", SAMPLES)
def test_junit_is_sound(sample):
    result = SAMPLES[sample]
    root = check_junit(render(result, "junit"))
    tests = [test for item in result.items for test in item.tests]
    assert len(list(root.iter("testcase"))) == len(tests)
    for case, test in zip(root.iter("testcase"), tests, strict=True):
        assert case.get("name") == f"{test.line} ({test.score}/{test.points})"
        assert (len(case) == 0) == (test.status == "passed")


def test_junit_tells_a_crash_from_a_failure():
    assert {each.tag for each in check_junit(render(CRASHED, "junit")).iter()} & {"failure", "error"} == {
        "error"
    }
    assert check_junit(render(NOT_ATTEMPTED, "junit")).get("failures") == "4"


# --- hostile text ---------------------------------------------------------------------------------------


def markdown_tokens(text):
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for token in parser.parse(text):
        yield token
        yield from token.children or []


OWN = r"<details><summary>(What went wrong: [a-z ]+|What the submission printed)</summary>|</details>"


def check_markdown(text):
    """Only what the report itself makes: no link, picture, emphasis or HTML of somebody else's."""
    tokens = list(markdown_tokens(text))
    assert not {token.type for token in tokens} & {
        "link_open",
        "image",
        "em_open",
        "s_open",
        "html_inline",
        "hr",
    }
    for token in tokens:
        if token.type == "html_block":
            assert re.fullmatch(OWN, token.content.strip())
    return tokens


@pytest.mark.parametrize("sample", SAMPLES)
def test_markdown_holds_no_markup_but_its_own(sample):
    result = SAMPLES[sample]
    tokens = check_markdown(render(result, "markdown"))
    kinds = [token.type for token in tokens]
    assert kinds.count("td_open") == 3 * len(result.items)
    wrong = [item for item in result.items if item.status != "passed"]
    assert kinds.count("heading_open") == 1 + len(wrong)
    failed = sum(test.status not in ("passed", "not attempted") for item in wrong for test in item.tests)
    assert kinds.count("fence") == failed + (sample == "public")


def test_markdown_shows_the_rubric_as_it_stands():
    text = render(NOT_ATTEMPTED, "markdown")
    words = [token.content for token in markdown_tokens(text) if token.type in ("text", "text_special")]
    assert "Any ranking | any *k*, also <empty> ones." in "".join(words)


def test_a_fence_is_longer_than_any_in_the_text():
    assert markdown.fenced("a\n`````\nb").startswith("``````text\n")


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


@pytest.mark.parametrize("name", FORMATS)
def test_no_line_is_a_command_to_a_runner_or_a_terminal(name):
    texts = [make(HOSTILE) for _, make in FORMATS[name].beside]
    text = render(HOSTILE, name)
    texts += strings(documents(name, text)) if name in JSON else [text]
    for each in texts:
        assert not re.search(r"^\s*::|##\[|##vso\[", each, re.MULTILINE)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", each)


def test_of_many_calls_the_first_three_are_told():
    [first, *_] = ET.fromstring(render(HOSTILE, "junit")).iter("failure")
    assert first.text.count("\ncame: ") == 3


@pytest.mark.parametrize("name", LEARNERS)
def test_long_text_stays_bounded(name):
    assert len(render(HOSTILE, name)) < 60_000


TEXT = st.text(st.characters(), max_size=60)


@settings(max_examples=60, deadline=None)
@given(TEXT, TEXT, TEXT, st.sampled_from(["public", "hidden", "after_due_date"]))
def test_any_text_at_all_gives_sound_files(submission, cause, value, visibility):
    test = replace(SMALL, score=0, status="failed", cause=cause, visibility=visibility)
    test = replace(test, calls=(Call(value, cause, value, cause),))
    result = replace(
        FULL, submission=submission, items=(item("3.1", "Fusion", test),), output=cause, notes=(value,)
    )
    for name in JSON:
        text = render(result, name)
        text.encode()
        for document in documents(name, text):
            validate(name, document)
    check_junit(render(result, "junit"))
    check_markdown(render(result, "markdown"))


# --- the table of formats -------------------------------------------------------------------------------


def test_an_unknown_format_is_answered_with_the_nearest_first():
    with pytest.raises(UserError) as caught:
        render(FULL, "gradscope")
    assert str(caught.value).startswith(
        "unknown format 'gradscope': did you mean gradescope? known are gradescope, "
    )
    assert all(name in str(caught.value) for name in FORMATS)
    with pytest.raises(UserError, match=r"^unknown format 'x\\n': known are json, gradescope, "):
        render(FULL, "x\n")


@pytest.mark.parametrize("name", FORMATS)
def test_write_leaves_whole_files_under_the_names_that_readers_look_for(name, tmp_path):
    paths = write(HOSTILE, name, tmp_path)
    assert paths[0].name == FORMATS[name].file
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths}
    assert paths[0].read_bytes().decode() == render(HOSTILE, name)
    assert all(path.stat().st_size for path in paths)
    assert "\n" not in FORMATS[name].help
