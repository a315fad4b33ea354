"""Prompt versions: pinned by content, drawn by the trace id."""

import pytest

from shared import prompts
from shared.errors import UserError
from step5_serving.telemetry.call import new_trace_id
from step5_serving.telemetry.versions import Versions, parse_split, prompt_of, ref_of
from tests.step3.conftest import write

FILE = "---\nid: answer\nversion: {0}\nfamily: {1}\n---\n# system\n\nSay {2}.\n"


@pytest.fixture
def folder(tmp_path):
    versions = [(1, "any", "one"), (2, "any", "two"), (3, "trial", "three")]
    return write(tmp_path / "prompts", {f"answer.{v}.md": FILE.format(v, f, t) for v, f, t in versions})


def test_without_a_split_the_latest_gets_all(folder):
    versions = Versions.of(folder, "answer", "smollm2")
    assert {versions.pick(new_trace_id()) for _ in range(20)} == {2}


def test_the_split_is_kept_and_a_trace_always_gets_the_same(folder):
    versions = Versions.of(folder, "answer", split="1:90,2:10")
    picked = {f"{i:032x}": versions.pick(f"{i:032x}") for i in range(4000)}  # ids by no chance at all
    share = sum(version == 2 for version in picked.values()) / len(picked)
    assert 0.08 < share < 0.12
    again = Versions.of(folder, "answer", split="2:10,1:90")
    assert all(again.pick(trace) == version for trace, version in picked.items())


def test_an_edit_in_place_changes_nothing_of_what_runs_and_is_seen_after_the_next_start(folder):
    before = Versions.of(folder, "answer").known[1]
    (folder / "answer.1.md").write_text(FILE.format(1, "any", "something else"))
    assert prompt_of(ref_of(before)).system == before.system == "Say one."
    assert Versions.of(folder, "answer").known[1].sha256 != before.sha256


def test_a_stored_prompt_that_was_changed_is_noticed(folder):
    ref = ref_of(prompts.load(folder, "answer", 1))
    forged = type(ref)(ref.id, ref.version, ref.sha256, ref.text.replace("one", "two"))
    with pytest.raises(UserError, match="has another hash"):
        prompt_of(forged)


@pytest.mark.parametrize(
    "text", ["", "1:", "1:x", "one", "1,2", "1:50,1:50", "1:-1", "1:nan", "1:0", "1:inf"]
)
def test_what_is_no_split(text):
    with pytest.raises(UserError, match="split"):
        parse_split(text, [1, 2])


def test_a_split_of_unknown_versions(folder):
    with pytest.raises(UserError, match="version 7, which does not exist: there are 1, 2"):
        parse_split("1:50,7:50", [1, 2])
    assert parse_split("2", [1, 2]) == {2: 1}
