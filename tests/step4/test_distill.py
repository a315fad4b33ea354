"""Distillation over a scripted API: what is asked, what passes the evaluator, and going on after a stop."""

import json

import pytest

from shared.config import load_settings
from shared.errors import UserError
from step4_finetune.data import distill
from step4_finetune.data.rows import read_rows, with_notes
from step4_finetune.tone.guide import guide_of
from tests.step4.samples import GUIDE, good, spoilt

ROWS = good()


@pytest.fixture
def out(tmp_path):
    return tmp_path / "pairs.jsonl"


def run(rows, out, **options):
    return distill.run(rows, GUIDE, load_settings(model="tiny"), out, **options)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_reply_that_passes_is_kept(api, out):
    api.enqueue(ROWS[0].chosen, usage={"input_tokens": 400, "output_tokens": 60})
    facts = run(ROWS[:1], out)
    (asked,) = api.requests
    assert asked["system"].startswith("You answer members of Northwind Care. Write the reply")
    assert "Follow every one of these rules:\n- Start with" in asked["system"]
    assert "tech = technician" not in asked["system"]
    given = with_notes(ROWS[0].message, ROWS[0].notes)
    assert asked["messages"] == [{"role": "user", "content": f"<message>\n{given}\n</message>"}]
    assert "say all of them" in asked["system"]
    (row,) = read_rows(out)
    assert row == spoilt(ROWS[0], rejected=None)
    assert (facts["kept"], facts["requests"], facts["filtered"]) == (1, 1, 0)
    assert (facts["input_tokens"], facts["output_tokens"]) == (400, 60)


def test_a_reply_that_breaks_a_rule_is_tried_again_with_what_was_wrong(api, out):
    api.enqueue(ROWS[0].rejected)
    api.enqueue(ROWS[0].chosen)
    facts = run(ROWS[:1], out)
    told = api.requests[1]["messages"]
    assert [turn["role"] for turn in told] == ["user", "assistant", "user"]
    assert told[1]["content"] == ROWS[0].rejected
    assert "Use no contractions" in told[2]["content"]
    assert "(found: We're)" in told[2]["content"]
    assert (facts["kept"], facts["requests"]) == (1, 2)


def test_a_reply_that_fails_twice_is_saved_apart_with_its_reasons(api, out):
    api.enqueue("Hi! We'll fix it.")
    api.enqueue(ROWS[0].chosen.replace("the model that is printed below the handle", "more"))
    facts = run(ROWS[:1], out)
    assert not out.exists()
    (aside,) = lines(out.with_suffix(".filtered.jsonl"))
    why = "missing: ask: model printed below the handle"
    assert (aside["id"], aside["why"]) == ("kettle-1", [why])
    assert (facts["kept"], facts["filtered"], facts["why"]) == (0, 1, {why: 1})
    assert (facts["out"], facts["filtered_out"]) == (None, str(out.with_suffix(".filtered.jsonl")))


@pytest.mark.parametrize(
    ("text", "stop", "why"),
    [
        ("", "end_turn", ["empty"]),
        ("I can't.", "refusal", ["refused"]),
        ("Dear member,\n\nWe", "max_tokens", ["cut"]),
        (ROWS[0].chosen.replace("3 May", "4 May"), "end_turn", ["added: 4"]),
    ],
)
def test_faults(text, stop, why):
    assert distill.faults(text, stop, ROWS[0], GUIDE) == why


def test_a_fault_may_have_the_name_of_a_rule_that_is_kept():
    rule = {"id": "looping", "say": "Say it once.", "forbid": "again"}
    guide = guide_of({"company": "Merrow", "rules": [rule]}, "guide")
    assert "\n- looping\n" in distill.feedback("It came. It came.", guide, ["looping"])


def test_the_budget_ends_it_and_the_same_command_continues(api, out):
    for row in ROWS[:2]:
        api.enqueue(row.chosen)
    facts = run(ROWS[:4], out, requests=2)
    assert (facts["kept"], facts["not_asked"], api.left) == (2, 2, 0)
    for row in ROWS[2:4]:
        api.enqueue(row.chosen)
    facts = run(ROWS[:4], out)
    assert (facts["kept"], facts["not_asked"]) == (2, 0)
    assert [row.id for row in read_rows(out)] == [row.id for row in ROWS[:4]]
    assert run(ROWS[:4], out)["requests"] == 0


def test_a_failing_model_loses_no_rows(api, out):
    api.enqueue(ROWS[0].chosen)
    for _ in range(3):
        api.enqueue(status=529, error="Overloaded")
    with pytest.raises(UserError, match=r"tiny: the server is overloaded \(529\)") as refused:
        run(ROWS[:2], out)
    assert "\n" not in str(refused.value)
    assert [row["id"] for row in lines(out)] == ["kettle-1"]


def test_conversations_keep_their_turns(api, out):
    turns = (
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Dear member"},
        *ROWS[0].prompt,
    )
    api.enqueue(ROWS[0].chosen)
    run([spoilt(ROWS[0], prompt=turns)], out)
    assert read_rows(out)[0].prompt == turns
    assert run([spoilt(ROWS[0], prompt=turns)], out)["requests"] == 0


def test_other_files_are_left_alone(api, out):
    out.write_text('{"text": "a novel"}\n')
    with pytest.raises(UserError, match=r"pairs\.jsonl:1 has the columns text: it needs prompt$"):
        run(ROWS, out)
    with pytest.raises(UserError, match=r"use one that ends in \.jsonl"):
        run(ROWS, out.with_suffix(".csv"))
    assert out.read_text() == '{"text": "a novel"}\n'


def test_messages_of_train_without_their_replies(tmp_path):
    path = tmp_path / "asked.jsonl"
    path.write_text(
        '{"message": "Open?", "notes": "until: 3", "chosen": "old", "rejected": "older"}\n'
        '{"prompt": "Shut?"}\n{"prompt": "Is it dear?", "split": "test"}\n'
    )
    first, second = distill.read_messages(path)
    assert (first.message, first.notes, first.chosen, first.rejected) == ("Open?", ("until: 3",), "", None)
    assert second.message == "Shut?"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n \n", "has no messages to train on"),
        ('{"prompt": "x", "split": "dev"}', "has no messages to train on"),
        ('{"text": "x"}', r"a\.jsonl:1 has the columns text: it needs prompt$"),
    ],
)
def test_files_without_messages(tmp_path, text, said):
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(UserError, match=said):
        distill.read_messages(tmp_path / "a.jsonl")
