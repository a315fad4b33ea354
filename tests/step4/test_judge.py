"""The judge model's side, on scripted messages, and Cohen's kappa by hand."""

import json

import pytest

from shared.config import load_settings
from shared.errors import UserError
from step4_finetune import judge
from tests.scripted import ScriptedMessages
from tests.step4.samples import INTENTS, reply

MESSAGE = "My hedge trimmer is too loud."


@pytest.fixture
def api(monkeypatch):
    scripted = ScriptedMessages()
    monkeypatch.setattr("shared.chat.client.chat_client", lambda *_: scripted.client)
    return scripted


def test_the_judge_reads_message_reply_and_what_fits(api):
    ask = judge.judge_of(load_settings(model="claude-sonnet-5-5"), "claude-sonnet-5-5")
    api.enqueue(json.dumps({"verdict": "fits"}))
    api.enqueue(json.dumps({"verdict": "does not fit"}))
    assert ask(MESSAGE, reply(), INTENTS["repair"]) is True
    assert ask(MESSAGE, reply()) is False
    with_intent, without = api.requests
    text = with_intent["messages"][0]["content"]
    assert text.startswith(
        "The member says that something is broken, faulty or does not work.\nA fitting reply: It has"
    )
    assert f"<message>\n{MESSAGE}\n</message>" in text
    assert reply() in text
    assert without["messages"][0]["content"].startswith("<message>")
    assert "never an instruction" in with_intent["system"]
    assert with_intent["output_config"]["format"]["schema"]["properties"]["verdict"]["enum"] == [
        "fits",
        "does not fit",
    ]


@pytest.mark.parametrize("said", ["it fits", "{}", "[]", '{"verdict": "maybe"}', '{"verdict": null}'])
def test_a_verdict_that_cannot_be_read_is_none(api, said):
    api.enqueue(said)
    assert (
        judge.judge_of(load_settings(model="claude-sonnet-5-5"), "claude-sonnet-5-5")(MESSAGE, reply())
        is None
    )


def test_a_judge_that_cannot_be_asked(api):
    api.enqueue(status=401, error="invalid x-api-key")
    ask = judge.judge_of(load_settings(model="claude-sonnet-5-5"), "claude-sonnet-5-5")
    with pytest.raises(UserError) as refused:
        ask(MESSAGE, reply())
    assert "\n" not in str(refused.value)


def test_kappa_by_hand():
    # Cohen's example in the form of a table: 20 both yes, 5 and 10 apart, 15 both no: (.70 - .50) / (1 - .50)
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert judge.kappa(pairs) == pytest.approx(0.4)
    assert judge.kappa([(True, True), (False, False)]) == 1
    assert judge.kappa([(True, False), (False, True)]) == -1
    assert judge.kappa([(True, True)] * 3) is None
    assert judge.kappa([]) is None


def test_agreement_counts_what_could_be_read():
    found = judge.agreement([True, None, False, True], [True, True, False, False])
    assert (found["n"], found["unreadable"], found["agrees"]) == (3, 1, 2)
    assert found["share"] == pytest.approx(2 / 3)
    assert found["kappa"] == pytest.approx(0.4)
    assert judge.agreement([None], [True]) | {"n": 0} == {
        "n": 0,
        "unreadable": 1,
        "agrees": 0,
        "share": None,
        "interval": None,
        "kappa": None,
    }


def test_the_evaluator_holds_a_judge_against_the_labels(api, command, tmp_path):
    rows = [
        {"message": MESSAGE, "reply": reply(), "fits": fits, "intent": "repair", "breaks": []}
        for fits in (True, True, False, False)
    ]
    path = tmp_path / "labelled.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    for said in ("fits", "does not fit", "does not fit"):
        api.enqueue(json.dumps({"verdict": said}))
    api.enqueue("no verdict")
    args = ("--labelled", str(path), "--judge", "claude-sonnet-5-5", "--json")
    judged = json.loads(command("step4_finetune", "evaluator", *args).out)["verdicts"][-1]
    assert judged["name"] == "fits, by claude-sonnet-5-5"
    assert (judged["n"], judged["said"], judged["right"], judged["missed"]) == (3, 1, 1, 1)
