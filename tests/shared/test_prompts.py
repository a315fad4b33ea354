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
EXAMPLE = """
# user

Good morning!

# assistant

Bonjour, in {{ language }}!
"""
SECOND = FIRST.replace("version: 1", "version: 2").replace("score: 0.5\n", "") + EXAMPLE
SYSTEM = 'You translate English into {{language}}.\n\nA second paragraph, with {"json": {"deep": 1}}.'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "translate.1.md").write_text(FIRST)
    (tmp_path / "translate.2.md").write_text(SECOND)
    (tmp_path / "special.md").write_text(
        FIRST.replace("family: any", "family: claude").replace("version: 1", "version: 3")
    )
    return tmp_path


def test_a_file_becomes_a_prompt(folder):
    first, second = (prompts.load(folder, "translate", version) for version in (1, 2))
    assert first == prompts.Prompt("translate", 1, "any", SYSTEM, (), {"score": 0.5})
    example = ("Good morning!", "Bonjour, in {{ language }}!")
    assert second == prompts.Prompt("translate", 2, "any", SYSTEM, (example,), {})


def test_load_takes_the_latest_version_for_the_family_or_for_any_model(folder):
    (folder / "translate.10.md").write_text(FIRST.replace("version: 1", "version: 10"))
    for model, version in (("claude-x", 3), ("org/SmolLM2-135M", 10)):
        assert prompts.load(folder, "translate", family=prompts.family_of(model)).version == version
    assert prompts.load(folder, "translate").version == 10
    assert prompts.family_of("qwen3:4b") == "qwen3"


def test_load_says_what_exists(folder, tmp_path):
    with pytest.raises(
        UserError, match=r"prompt 'traduce' has no version for any in .*: there are translate 1 \(any\)"
    ):
        prompts.load(folder, "traduce")
    with pytest.raises(UserError, match=r"has no version 9 .* 2 \(any\), translate 3 \(claude\)"):
        prompts.load(folder, "translate", 9)
    with pytest.raises(UserError, match=r"no prompts in .*nowhere"):
        prompts.read_all(tmp_path / "nowhere")
    (folder / "copy.md").write_text(FIRST)
    with pytest.raises(UserError, match=r"two files in .* are version 1 of prompt translate"):
        prompts.load(folder, "translate")


def test_render_gives_arguments_of_the_messages_api(folder):
    value = "{{secret}} \\1"  # must not be rendered again
    got = prompts.render(prompts.load(folder, "translate"), language=value)
    assert got == {
        "system": SYSTEM.replace("{{language}}", value),
        "messages": [
            {"role": "user", "content": "Good morning!"},
            {"role": "assistant", "content": f"Bonjour, in {value}!"},
        ],
    }


@pytest.mark.parametrize("variables", [{}, {"language": "French", "langauge": "French"}])
def test_render_takes_exactly_the_variables_of_the_prompt(folder, variables):
    with pytest.raises(UserError, match=r"translate\.2 needs the variables language; given: (none|langauge)"):
        prompts.render(prompts.load(folder, "translate"), **variables)


def test_the_hash_depends_on_what_the_model_reads_only(folder):
    first = prompts.load(folder, "translate", 1)
    assert dataclasses.replace(first, meta={"score": 0.9}, version=7).sha256 == first.sha256
    assert prompts.load(folder, "translate", 2).sha256 != first.sha256
    # Telemetry on users' disks refers to prompts by this hash.
    answer = prompts.load(ROOT / "step3_rag" / "prompts", "answer", 1)
    assert answer.sha256 == "1b4f84f0ecbd76037c44f20efbb43b9143691fef35e24fd9002ae349a7b4556a"


def test_a_new_version_is_a_new_file(folder):
    old = prompts.load(folder, "translate")
    new = dataclasses.replace(old, examples=(("Hi", "Salut"),), meta={"score": 0.75})
    path = prompts.save_new_version(folder, new)
    assert path.name == "translate.4.md"  # 3 is taken, by another family
    saved = dataclasses.replace(new, version=4, meta={"based_on": 2, "score": 0.75})
    assert prompts.load(folder, "translate") == saved
    assert prompts.load(folder, "translate", 2) == old
    taken = folder / "translate.5.md"
    taken.write_text(FIRST.replace("id: translate", "id: other"))
    with pytest.raises(UserError, match=r"cannot write .*translate\.5\.md"):
        prompts.save_new_version(folder, old)
    assert "id: other" in taken.read_text()


@pytest.mark.parametrize("text", [f"a\n{EXAMPLE}", "a\n# user\nb", "# system", " "])
def test_a_text_that_would_break_the_file_is_not_saved(folder, text):
    with pytest.raises(UserError):
        prompts.save_new_version(folder, dataclasses.replace(prompts.load(folder, "translate"), system=text))
    assert len(list(folder.glob("*.md"))) == 3


printable = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"]) | st.sampled_from("\n#{}:-"), min_size=1
)
texts = printable.map(str.strip).filter(lambda text: text and not prompts.SECTION.search(text))


@given(texts, st.lists(st.tuples(texts, texts), max_size=3), texts)
def test_what_is_written_is_read_again(system, examples, note):
    prompt = prompts.Prompt("p", 1, "any", system, tuple(examples), {"note": note})
    assert prompts.parse(str(prompt)) == prompt


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# system\n\nhi\n", "the front matter needs id (a name), version"),
        (FIRST.replace("version: 1", "version: one"), "found ['translate', 'one', 'any']"),
        (FIRST.replace("score: 0.5", "made: 2026-13-45"), "the front matter cannot be read"),
        (FIRST.replace("# system", "# sistem"), "after the front matter come # system, then pairs"),
        (FIRST.replace("---\n# system", "---\nhello\n# system"), "after the front matter come # system"),
        (SECOND + "\n# user\n\nAnd?\n", "pairs of # user and # assistant"),
        (SECOND.replace("Good morning!", ""), "none empty"),
        (b"\xff\xfe\x00", "cannot read"),
    ],
)
def test_a_broken_file_is_named_in_one_line(tmp_path, text, message):
    (tmp_path / "wrong.md").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        prompts.load(tmp_path, "translate")
    assert message in str(error.value)
    assert "wrong.md" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path):
    (tmp_path / "p.md").write_bytes(b"\xef\xbb\xbf" + FIRST.replace("\n", "\r\n").encode())
    assert prompts.load(tmp_path, "translate").system == SYSTEM
