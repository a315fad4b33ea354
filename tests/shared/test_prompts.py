import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import prompts
from shared.errors import UserError
from tests.conftest import ROOT

FIRST = """---
id: translate
version: 1
family: any
score: 0.5
---
# system

You translate English into {{language}}.

A second paragraph, with {"json": {"deep": 1}}.
"""
SECOND = (
    FIRST.replace("version: 1", "version: 2").replace("score: 0.5\n", "")
    + """
# user

Good morning!

# assistant

Bonjour, in {{ language }}!
"""
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "translate.1.md").write_text(FIRST)
    (tmp_path / "translate.2.md").write_text(SECOND)
    (tmp_path / "special.md").write_text(
        FIRST.replace("family: any", "family: claude").replace("version: 1", "version: 3")
    )
    return tmp_path


def test_a_file_becomes_a_prompt(folder):
    prompt = prompts.load(folder, "translate", 2)
    assert (prompt.id, prompt.version, prompt.family) == ("translate", 2, "any")
    assert prompt.system.splitlines()[0] == "You translate English into {{language}}."
    assert prompt.system.endswith('{"json": {"deep": 1}}.')
    assert prompt.examples == (("Good morning!", "Bonjour, in {{ language }}!"),)
    assert prompts.load(folder, "translate", 1).meta == {"score": 0.5}


def test_the_latest_version_for_the_family_or_for_any_model(folder):
    assert prompts.load(folder, "translate").version == 2
    assert prompts.load(folder, "translate", family="claude").version == 3
    assert prompts.load(folder, "translate", family="smollm2").version == 2
    assert [prompt.version for prompt in prompts.read_all(folder)] == [1, 2, 3]


def test_version_10_comes_after_version_9(tmp_path):
    for version in (9, 10):
        (tmp_path / f"p.{version}.md").write_text(FIRST.replace("version: 1", f"version: {version}"))
    assert prompts.load(tmp_path, "translate").version == 10


def test_rendering_gives_what_the_messages_api_takes(folder):
    got = prompts.render(prompts.load(folder, "translate"), language="French")
    assert got["system"].startswith("You translate English into French.\n\nA second")
    assert got["messages"] == [
        {"role": "user", "content": "Good morning!"},
        {"role": "assistant", "content": "Bonjour, in French!"},
    ]


def test_a_value_is_not_rendered_again(folder):
    got = prompts.render(prompts.load(folder, "translate", 1), language="{{secret}} \\1")
    assert "into {{secret}} \\1." in got["system"]


def test_rendering_is_strict(folder):
    prompt = prompts.load(folder, "translate")
    with pytest.raises(UserError, match="version 2 needs the variable language"):
        prompts.render(prompt)
    with pytest.raises(UserError, match="has no variable langauge"):
        prompts.render(prompt, language="French", langauge="French")


def test_the_hash_is_of_what_the_model_reads(folder):
    first, second = (prompts.load(folder, "translate", version) for version in (1, 2))
    assert first.sha256 != second.sha256
    assert dataclasses.replace(first, meta={"score": 0.9}, version=7).sha256 == first.sha256
    assert dataclasses.replace(first, system=first.system + "!").sha256 != first.sha256


def test_a_diff_shows_what_changed(folder):
    first, second = (prompts.load(folder, "translate", version) for version in (1, 2))
    lines = prompts.diff(first, second).splitlines()
    assert lines[:2] == ["--- translate version 1", "+++ translate version 2"]
    assert {"-score: 0.5", "+Good morning!", "-version: 1"} <= set(lines)
    assert prompts.diff(first, first) == ""


def test_a_new_version_is_written_beside_the_old_ones(folder):
    old = prompts.load(folder, "translate")
    path = prompts.save_new_version(folder, old, examples=[("Hi", "Salut")], score=0.75)
    assert path.name == "translate.4.md"  # 3 is taken, by another family
    new = prompts.load(folder, "translate")
    assert (new.version, new.system, new.examples) == (4, old.system, (("Hi", "Salut"),))
    assert new.meta == {"based_on": 2, "score": 0.75}
    assert prompts.load(folder, "translate", 2) == old


def test_a_file_is_never_overwritten(folder):
    (folder / "translate.4.md").write_text(FIRST.replace("id: translate", "id: another"))
    with pytest.raises(UserError, match=r"cannot write .*translate\.4\.md: File exists"):
        prompts.save_new_version(folder, prompts.load(folder, "translate"), score=1)
    assert "id: another" in (folder / "translate.4.md").read_text()


@pytest.mark.parametrize("text", ["a\n# user\nb", "# system", " "])
def test_a_text_that_would_break_the_file_is_refused(folder, text):
    with pytest.raises(UserError, match="no text may be empty or hold a line"):
        prompts.save_new_version(folder, prompts.load(folder, "translate"), system=text)
    assert len(list(folder.glob("*.md"))) == 3


printable = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"]) | st.sampled_from("\n#{}:-"), min_size=1
)
texts = printable.map(str.strip).filter(lambda text: text and not prompts.SECTION.search(text))


@given(texts, st.lists(st.tuples(texts, texts), max_size=3), printable)
def test_what_is_written_is_read_again(tmp_path_factory, system, examples, note):
    path = tmp_path_factory.mktemp("prompts") / "p.md"
    prompt = prompts.Prompt("p", 1, "any", system, tuple(examples), {"note": note})
    path.write_text(str(prompt), encoding="utf-8")
    assert prompts.read(path) == prompt


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# system\n\nhi\n", "has no front matter"),
        (FIRST.replace("id: translate\n", ""), "lacks id, a name"),
        (FIRST.replace("version: 1\n", ""), "lacks version, a whole number from 1"),
        (FIRST.replace("family: any\n", ""), "lacks family"),
        (FIRST.replace("version: 1", "version: one"), "version = 'one' is not allowed: use a whole number"),
        (FIRST.replace("version: 1", "version: true"), "version = True is not allowed"),
        (FIRST.replace("version: 1", "version: 0"), "version = 0 is not allowed"),
        (FIRST.replace("version: 1", "version: [1"), "the front matter is no YAML"),
        (FIRST.replace("score: 0.5", "made: 2026-13-45"), "the front matter is no YAML"),
        ("---\n- a\n---\n# system\n\nhi\n", "must be lines of name: value"),
        (FIRST.replace("# system", "# sistem"), "the first section must be # system"),
        (FIRST.replace("---\n# system", "---\nhello\n# system"), "the first section must be # system"),
        (SECOND + "\n# user\n\nAnd?\n", "pairs of # user and # assistant"),
        (SECOND.replace("Good morning!", ""), "the section # user is empty"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(tmp_path, text, message):
    (tmp_path / "wrong.md").write_text(text)
    with pytest.raises(UserError) as error:
        prompts.load(tmp_path, "translate")
    assert message in str(error.value)
    assert "wrong.md" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_editors_on_windows_write(tmp_path):
    (tmp_path / "p.md").write_bytes(b"\xef\xbb\xbf" + FIRST.replace("\n", "\r\n").encode())
    assert prompts.load(tmp_path, "translate").system.count("\n") == 2


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "wrong.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"cannot read .*wrong\.md"):
        prompts.read_all(tmp_path)


def test_two_files_with_the_same_version(folder):
    (folder / "copy.md").write_text(FIRST)
    with pytest.raises(
        UserError, match=r"translate\.1\.md and copy\.md are both version 1 of prompt translate"
    ):
        prompts.load(folder, "translate")


def test_a_text_is_parsed_as_its_file_is(folder):
    prompt = prompts.load(folder, "translate")
    assert prompts.parse(str(prompt)) == prompt
    with pytest.raises(UserError, match="the prompt has no front matter"):
        prompts.parse("# system")


def test_what_is_not_there(folder, tmp_path):
    with pytest.raises(UserError, match=r"no prompt 'traduce' in .*: use translate"):
        prompts.load(folder, "traduce")
    with pytest.raises(UserError, match=r"has no version 9: there are 1 \(any\), 2 \(any\), 3 \(claude\)"):
        prompts.load(folder, "translate", 9)
    with pytest.raises(UserError, match=r"no prompts in .*nowhere"):
        prompts.read_all(tmp_path / "nowhere")


def test_the_shipped_prompts_are_in_the_very_form_that_is_written():
    """So that a new version differs from an old one only where it was changed."""
    for path in ROOT.glob("*/prompts/*.md"):
        assert str(prompts.read(path)) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("model", "family"), [("qwen3:4b", "qwen3"), ("org/SmolLM2-135M", "smollm2"), ("claude-x", "claude")]
)
def test_the_family_is_what_a_name_begins_with(model, family):
    assert prompts.family_of(model) == family
