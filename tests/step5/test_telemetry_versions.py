"""Prompt versions: chosen by the trace id, identified by their hash."""

import pytest

from shared import prompts
from shared.errors import UserError
from step5_serving.seam import PromptRef
from step5_serving.telemetry.call import new_trace_id
from step5_serving.telemetry.versions import Versions, from_ref, parse_split
from tests.step3.conftest import write

FILE = "---\nid: answer\nversion: {0}\nfamily: {1}\n---\n# system\n\nSay {2}.\n"


@pytest.fixture
def folder(tmp_path):
    versions = [(1, "any", "one"), (2, "any", "two"), (3, "trial", "three")]
    return write(tmp_path / "prompts", {f"answer.{v}.md": FILE.format(v, f, t) for v, f, t in versions})


def test_without_a_split_the_latest_version_gets_all(folder):
    versions = Versions.of(folder, "answer", "smollm2")
    assert {versions.pick(new_trace_id()) for _ in range(20)} == {2}


def test_a_split_is_kept_and_a_trace_always_gets_the_same_version(folder):
    versions = Versions.of(folder, "answer", split="1:90,2:10")
    picked = {f"{i:032x}": versions.pick(f"{i:032x}") for i in range(4000)}
    share = sum(version == 2 for version in picked.values()) / len(picked)
    assert 0.08 < share < 0.12
    again = Versions.of(folder, "answer", split="2:10,1:90")
    assert all(again.pick(trace) == version for trace, version in picked.items())


def test_an_edited_file_is_used_only_after_a_restart(folder):
    before = Versions.of(folder, "answer").known[1]
    (folder / "answer.1.md").write_text(FILE.format(1, "any", "something else"))
    assert from_ref(PromptRef("answer", 1, before.sha256, str(before))).system == before.system == "Say one."
    assert Versions.of(folder, "answer").known[1].sha256 != before.sha256


def test_a_changed_stored_prompt_is_noticed(folder):
    prompt = prompts.load(folder, "answer", 1)
    forged = PromptRef("answer", 1, prompt.sha256, str(prompt).replace("one", "two"))
    with pytest.raises(UserError, match="has another hash"):
        from_ref(forged)


@pytest.mark.parametrize(
    "text", ["", "1:", "1:x", "one", "1,2", "1:50,1:50", "1:-1", "1:nan", "1:0", "1:inf"]
)
def test_malformed_splits_are_refused(text):
    with pytest.raises(UserError, match="split"):
        parse_split(text, [1, 2])


def test_a_split_of_unknown_versions_is_refused(folder):
    with pytest.raises(UserError, match="version 7, which does not exist: there are 1, 2"):
        parse_split("1:50,7:50", [1, 2])
    assert parse_split("2", [1, 2]) == {2: 1}
