"""Versions of a prompt: two on the same questions, with paired figures; and which of them a call gets."""

import json
from types import SimpleNamespace

import pytest

from shared import prompts
from shared.errors import UserError
from step3_rag.evaluate.dataset import Question
from step3_rag.evaluate.measurement import Difference
from step5_serving.evaluation import compare
from step5_serving.seam import PromptRef
from step5_serving.telemetry.call import new_trace_id
from step5_serving.telemetry.versions import Versions, from_ref, parse_split
from tests.scripted import ScriptedMessages
from tests.step3.conftest import write
from tests.step5.rag_parts import FakeServing

FILE = "---\nid: answer\nversion: {0}\nfamily: {1}\n---\n# system\n\nSay {2}.\n"
QUESTIONS = [
    Question("q1", "When does the contract renew?", {"contracts/supply.md": 1}, answers=("every year",)),
    Question("q2", "Where do servers stand?", {"contracts/hosting.html": 1}, answers=("Oslo",)),
    Question("q3", "How many days of leave?", {"handbook/leave.txt": 1}, answers=("30 days",)),
    Question("q4", "Who is the pope?", {}),
]
ONE = ["It renews every year. [1]", "In Bergen. [1]", "20 days. [1]", "Ann. [1]"]
TWO = ["It renews every year. [1]", "In Oslo. [1]", "30 days of leave. [1]", "I don't know."]


@pytest.fixture
def folder(tmp_path):
    """Three versions; the last is for other models, and says the same as the first."""
    versions = [(1, "any", "one"), (2, "any", "two"), (3, "trial", "one")]
    return write(tmp_path / "prompts", {f"answer.{v}.md": FILE.format(v, f, t) for v, f, t in versions})


def script():
    """Version 1 says ONE, version 2 TWO, question by question, in the order of asking."""
    api = ScriptedMessages()
    for i, (a, b) in enumerate(zip(ONE, TWO, strict=True)):
        for text in (a, b) if i % 2 == 0 else (b, a):
            api.enqueue(text)
    return api


def test_both_versions_answer_in_turns_from_the_same_passages_and_figures_are_those_of_pairs(
    retriever, folder
):
    api, pair = script(), compare.pair_of(1, 2, folder)
    pairs = compare.answer_pairs(retriever, QUESTIONS, pair, api.client, "tiny")
    asked = [request["system"] for request in api.requests]
    assert asked == [f"Say {v}." for v in ["one", "two", "two", "one", "one", "two", "two", "one"]]
    for i in range(0, 8, 2):
        assert api.requests[i]["messages"] == api.requests[i + 1]["messages"]  # the same passages
    texts = [tuple(each.outcome.answer.text for each in both) for both in pairs]
    assert texts == list(zip(ONE, TWO, strict=True))

    facts = compare.figures(pairs, pair, "tiny")
    right = facts["measures"]["right"]
    assert (right["n"], right["a"], right["b"]) == (3, pytest.approx(1 / 3), 1.0)
    assert right["difference"].mean == pytest.approx(2 / 3)
    assert (facts["gained"], facts["lost"], facts["p"]) == (2, 0, 0.5)
    assert facts["measures"]["unknown"]["b"] == 0.25
    assert "cost_usd" not in facts["measures"]  # tiny has no price: unknown, not 0
    assert [(each["id"], each["right"]) for each in facts["changed"]] == [("q2", "b"), ("q3", "b")]
    row = compare.figures(pairs, pair, "claude-sonnet-5-5")["measures"]["cost_usd"]
    assert row["a"] == pytest.approx((100 * 2 + 10 * 10) / 1e6)


VERDICTS = {"b is better": (1, 2), "a is better": (-2, -1), "no difference": (-1, 1), "too few": None}


@pytest.mark.parametrize(("said", "interval"), VERDICTS.items())
def test_the_verdict_needs_an_interval_beside_zero(said, interval):
    measures = {"right": {"difference": Difference(0.0, interval, better=0, worse=0)}}
    assert compare.verdict({"measures": measures, "a": "a", "b": "b"}).startswith(said)


@pytest.fixture
def compare_command(monkeypatch, retriever, run, folder):
    """`compare` on the five documents with a scripted model."""

    def go(api, *args):
        serving = FakeServing(api)
        monkeypatch.setattr("step5_serving.engines.choice.resolve", lambda *_, **__: serving)
        data = SimpleNamespace(name="five documents", questions=QUESTIONS)
        monkeypatch.setattr("step3_rag.evaluate.dataset.read", lambda *_: data)
        monkeypatch.setattr("step3_rag.evaluate.dataset.dataset_retriever", lambda *_: retriever)
        return run("compare", *args, "--prompts", folder)

    return go


def test_the_command_shows_a_table_and_keeps_the_answers(compare_command):
    got = compare_command(script(), 1, 2)
    assert got.code == 0, got.err
    assert "right answers" in got.out
    assert "only b is right: Oslo" in got.out
    assert json.loads(compare_command(script(), 1, 2, "--json").out)["measures"]["right"]["b"] == 1.0


def test_what_cannot_be_compared_is_one_line(compare_command):
    for versions, said in [((1, 3), "say the same"), ((1, 9), "has no version 9")]:
        got = compare_command(ScriptedMessages(), *versions)
        assert (got.code, got.err.count("\n"), said in got.err) == (2, 1, True)
    api = ScriptedMessages()
    api.enqueue(ONE[0])
    api.enqueue(status=400, error="too long for me")
    got = compare_command(api, 1, 2)
    assert (got.code, "too long for me" in got.err) == (2, True)


def test_step_3_has_two_versions_to_compare():
    assert prompts.diff(*compare.pair_of(1, 2))


# --- which version a call gets --------------------------------------------------------------------------


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
    assert parse_split("2", [1, 2]) == {2: 1}


def test_a_stored_prompt_outlives_its_file_and_a_forged_one_is_noticed(folder):
    before = Versions.of(folder, "answer").known[1]
    (folder / "answer.1.md").write_text(FILE.format(1, "any", "something else"))
    assert from_ref(PromptRef("answer", 1, before.sha256, str(before))).system == before.system == "Say one."
    assert Versions.of(folder, "answer").known[1].sha256 != before.sha256
    forged = PromptRef("answer", 1, before.sha256, str(before).replace("one", "two"))
    with pytest.raises(UserError, match="has another hash"):
        from_ref(forged)


@pytest.mark.parametrize("text", ["", "1:", "1:x", "one", "1,2", "1:50,1:50", "1:-1", "1:nan", "1:0"])
def test_malformed_splits_are_refused(text):
    with pytest.raises(UserError, match="split"):
        parse_split(text, [1, 2])
