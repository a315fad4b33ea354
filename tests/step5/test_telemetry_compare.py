"""Two prompts on the same questions: paired figures on a scripted model."""

import json
from types import SimpleNamespace

import pytest

from shared import prompts
from step3_rag.evaluate.dataset import Question
from step5_serving.evaluation import compare
from tests.scripted import ScriptedMessages
from tests.step3.conftest import write
from tests.step5.rag_parts import FakeServing

FILE = "---\nid: answer\nversion: {0}\nfamily: any\n---\n# system\n\nAnswer, version {0}.\n"
QUESTIONS = [
    Question("q1", "When does the contract renew?", {"contracts/supply.md": 1}, answers=("every year",)),
    Question("q2", "Where do servers stand?", {"contracts/hosting.html": 1}, answers=("Oslo",)),
    Question("q3", "How many days of leave?", {"handbook/leave.txt": 1}, answers=("30 days",)),
    Question("q4", "Who is the pope?", {}),
]
ONE = ["It renews every year. [1]", "In Bergen. [1]", "20 days. [1]", "Ann. [1]"]
TWO = ["It renews every year. [1]", "In Oslo. [1]", "30 days of leave. [1]", "I don't know."]


@pytest.fixture
def pair(tmp_path):
    folder = write(tmp_path / "prompts", {f"answer.{i}.md": FILE.format(i) for i in (1, 2)})
    (folder / "answer.3.md").write_text(FILE.format(1).replace("version: 1", "version: 3"))
    return compare.pair_of(1, 2, folder)


def script():
    """Version 1 says ONE, version 2 TWO, question by question, in the order of asking."""
    api = ScriptedMessages()
    for i, (a, b) in enumerate(zip(ONE, TWO, strict=True)):
        for text in (a, b) if i % 2 == 0 else (b, a):
            api.enqueue(text)
    return api


def test_both_versions_answer_from_the_same_passages_in_turns_and_the_figures_are_those_of_pairs(
    retriever, pair
):
    api = script()
    pairs = compare.answer_pairs(retriever, QUESTIONS, pair, api.client, "tiny")
    asked = [request["system"] for request in api.requests]
    assert asked == [f"Answer, version {v}." for v in (1, 2, 2, 1, 1, 2, 2, 1)]
    for i in range(0, 8, 2):
        assert api.requests[i]["messages"] == api.requests[i + 1]["messages"]  # the same passages
    texts = [tuple(each.outcome.answer.text for each in both) for both in pairs]
    assert texts == list(zip(ONE, TWO, strict=True))

    facts = compare.figures(pairs, pair, "tiny")
    right = facts["measures"]["right"]
    assert (right["n"], right["a"], right["b"]) == (3, pytest.approx(1 / 3), 1.0)
    assert right["difference"]["mean"] == pytest.approx(2 / 3)
    assert (facts["gained"], facts["lost"], facts["p"]) == (2, 0, 0.5)
    assert facts["measures"]["unknown"]["b"] == 0.25
    assert "cost_usd" not in facts["measures"]  # tiny has no price: unknown, not 0
    assert [(each["id"], each["right"]) for each in facts["changed"]] == [("q2", "b"), ("q3", "b")]
    row = compare.figures(pairs, pair, "claude-sonnet-5-5")["measures"]["cost_usd"]
    assert row["a"] == pytest.approx((100 * 2 + 10 * 10) / 1e6)


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ([0.1, 0.5], "b is better"),
        ([-0.5, -0.1], "a is better"),
        ([-0.1, 0.1], "no difference"),
        (None, "too few"),
    ],
)
def test_the_verdict_needs_an_interval_beside_zero(interval, said):
    measures = {"right": {"difference": {"interval_95": interval}}}
    assert compare.verdict({"measures": measures, "a": "a", "b": "b"}).startswith(said)


@pytest.fixture
def compare_command(monkeypatch, retriever, run, pair, tmp_path):
    """`compare` on the five documents with a scripted model."""

    def go(api, *args):
        serving = FakeServing(api.client)
        monkeypatch.setattr("step5_serving.engines.choice.resolve", lambda *_, **__: serving)
        data = SimpleNamespace(name="five documents", questions=QUESTIONS)
        monkeypatch.setattr("step3_rag.evaluate.dataset.read", lambda *_: data)
        monkeypatch.setattr("step3_rag.evaluate.dataset.dataset_retriever", lambda *_: retriever)
        return run("compare", *args, "--prompts", tmp_path / "prompts")

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
