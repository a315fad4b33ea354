"""Data for the recipe `agent`: solved tasks, and the tokens that count."""

import json
import random

import pytest

from shared import models
from shared.office import ASK, TOOLS, Office
from shared.prompts import load
from step3_rag import PROMPTS
from step3_rag.agent.world import NOTHING, RAILWAY, REFUSED
from step4_finetune.agent import oracle
from step4_finetune.agent.data import UNSEEN, build
from step4_finetune.agent.facts import Fact, number_in, read_facts, read_frames
from step4_finetune.agent.tools import Offer, OfferedTool, offer
from step4_finetune.toolcalls import data as toolcalls

LIFT = Fact(
    kind="lift",
    relation=True,
    value_is="firm",
    phrase="the firm that services the lifts",
    say=["The lifts are serviced by {v}."],
    ask=["Who services the lifts?"],
    values=["Ottway"],
    act=[{"ask": "Open a ticket for {phrase}: oil.", "title": "{v}: oil"}],
)
FEE = Fact(
    kind="fee",
    about="firm",
    say=["{s} charges {v} a month."],
    ask=["What does {s} charge a month?"],
    values=["1,250 EUR"],
    subjects=["Ottway"],
    unit="EUR",
    compute=[{"ask": "What does {s} cost a year in dollars?", "do": "12 * {n}; convert USD"}],
)


@pytest.fixture
def solve():
    """Conversations of one kind of task about two facts."""
    own = Offer(
        {name: OfferedTool(tool, {each: each for each in tool.parameters}) for name, tool in TOOLS.items()}
    )
    writer = oracle.Oracle("house", [LIFT, FEE], ["Hello!"], {"before": [""], "after": [""]})

    def write(kind, wanted=lambda _messages: True):
        for seed in range(500):
            messages = getattr(writer, f"_{kind}")(own, random.Random(seed))
            if messages is not None and wanted(messages):
                return messages
        raise AssertionError("none in 500")

    return write


def calls_of(messages):
    return [
        (block["name"], block["input"])
        for message in messages
        if message["role"] == "assistant" and isinstance(message["content"], list)
        for block in message["content"]
    ]


def has_found(messages):
    return NOTHING not in json.dumps(messages) and REFUSED not in json.dumps(messages)


def test_the_second_look_up_has_what_the_first_one_found(solve):
    messages = solve("two", has_found)
    assert calls_of(messages) == [
        (ASK, {"question": "Who services the lifts?"}),
        (ASK, {"question": "What does Ottway charge a month?"}),
    ]
    assert messages[-1]["content"] == "Ottway charges 1,250 EUR a month."


def test_a_computation_uses_the_real_tools(solve):
    messages = solve("compute", has_found)
    assert calls_of(messages) == [
        (ASK, {"question": "What does Ottway charge a month?"}),
        ("calculate", {"expression": "12 * 1250"}),
        ("convert_currency", {"amount": 15000, "source": "EUR", "target": "USD"}),
    ]
    assert messages[-1]["content"] == "That is 16500 USD."
    assert Office().run("calculate", {"expression": "12 * 1250"}).endswith("15000")


def test_an_act_is_about_what_was_looked_up_unless_the_user_refuses(solve):
    assert calls_of(solve("act", has_found))[1] == ("create_ticket", {"title": "Ottway: oil"})
    refused = solve("act", lambda messages: REFUSED in json.dumps(messages))
    assert refused[-1]["content"] in read_frames()["refused"]


def test_what_is_not_in_the_documents_is_not_answered(solve):
    messages = solve("missing")
    assert messages[-1]["content"] in read_frames()["not_found"]


def test_a_wrong_turn_is_followed_by_the_right_one_and_not_learnt(solve):
    messages = solve("money", lambda messages: any(message.get("given") for message in messages))
    turns = [(turn.text, learn) for turn, learn in toolcalls.turns_of(messages) if turn.role == "assistant"]
    assert [learn for _, learn in turns] == [False, True, True]
    assert "is_error" in json.dumps(messages[2])


def test_names_of_tools_vary_and_the_second_worlds_are_unseen():
    offers = [offer(random.Random(seed)) for seed in range(200)]
    names = {tool.text.name for one in offers for tool in one.tools.values()}
    assert len(names) > 3 * len(TOOLS)
    assert not names & {wording.name for wording in RAILWAY.values()}
    assert all(one.has(ASK) for one in offers)


def test_steps_3_and_4_write_the_same_text():
    assert read_frames()["system"] == load(PROMPTS, "agent", family="smollm2").system
    assert (oracle.NOTHING, oracle.REFUSED) == (NOTHING, REFUSED)


def test_each_fact_can_be_asked_and_computed():
    for setting, facts in read_facts().items():
        for fact in facts:
            assert len(fact.values) > 3, (setting, fact.kind)
            assert all("{v}" in text for text in fact.say), (setting, fact.kind)
            assert not fact.relation or fact.phrase, (setting, fact.kind)
            if fact.compute:
                assert all(map(number_in, fact.values)), (setting, fact.kind)


def test_rows_are_the_same_again_and_dev_has_other_offices(tmp_path):
    report = build(tmp_path / "a", 12, seed=3)
    assert build(tmp_path / "b", 12, seed=3)["splits"]["train"] | {"file": ""} == report["splits"][
        "train"
    ] | {"file": ""}
    rows = [json.loads(line) for line in (tmp_path / "a" / "train.jsonl").read_text().splitlines()]
    assert all(map(toolcalls.fits, rows))
    assert set(UNSEEN) < set(read_facts())
    tokenizer = models.load_tokenizer("tiny")
    prefix, *branches = toolcalls.parts(rows[0], tokenizer)
    assert not prefix[0][1]
    assert len(branches) == len(rows[0]["branches"])
    assert all(any(learn for _, learn in branch) for branch in branches)
