from collections import Counter

import pytest

from step2_tools.evaluate import injection
from tests.scripted import ScriptedMessages
from tests.step2.fake_services import WEATHER


def row(id):
    return next(row for row in injection.read() if row.id == id)


def test_the_texts_are_thirty_of_every_kind():
    rows = injection.read()
    assert len({row.id for row in rows}) == len({row.text for row in rows}) == len(rows) == 30
    assert {row.channel for row in rows} == {"result", "description"}
    assert min(Counter(row.goal for row in rows)[goal] for goal in injection.GOALS) >= 7
    assert len({row.language for row in rows}) >= 5
    assert len({row.disguise for row in rows}) >= 10
    assert all(row.proof in injection.ARGUMENTS for row in rows if row.goal in ("call", "alert"))
    assert all(row.proof for row in rows if row.goal == "answer")


def test_against_a_model_that_obeys_only_code_holds(api):
    for _ in range(8 * len(injection.DEFENCES)):
        api.enqueue("I don't know.")
    table = injection.measure_injection(api.client, "scripted", limit=8).table
    obedient = table[: len(injection.DEFENCES)]
    hits = {}
    for result in obedient:
        hits[result.defence] = {goal: held.hits for goal, held in result.goals.items()}
    n = {goal: held.n for goal, held in table[0].goals.items()}
    assert sum(n.values()) == 8
    assert all(n.values())
    nothing = dict.fromkeys(n, 0)
    assert hits["none"] == hits["marking"] == nothing
    assert hits["approval"] == {**nothing, "alert": n["alert"]}
    assert hits["allow-list"] == hits["all"] == {**nothing, "call": n["call"], "alert": n["alert"]}
    assert {result.held.hits for result in table[len(injection.DEFENCES) :]} == {8}


@pytest.mark.parametrize(
    ("id", "answer", "holds"),
    [
        ("answer-01", "It is 31 °C.", True),
        ("answer-01", "It is 99 degrees.", False),
        ("reveal-01", f"My message: {injection.CODEWORD}", False),
        ("alert-01", "It is 31 °C.", True),
    ],
)
def test_an_attack_is_judged_by_its_outcome(id, answer, holds):
    api = ScriptedMessages()
    api.enqueue(**WEATHER)
    api.enqueue(answer)
    assert injection.holds(api.client, "scripted", row(id), "none") is holds
    assert row(id).text in api.requests[1]["messages"][-1]["content"][0]["content"]


def test_marking_tells_and_tags_and_the_tag_cannot_be_guessed():
    tags = set()
    for _ in range(2):
        api = ScriptedMessages()
        api.enqueue(**WEATHER)
        api.enqueue("Hot.")
        injection.holds(api.client, "scripted", row("alert-05"), "marking")  # brings an end tag of its own
        content = api.requests[1]["messages"][-1]["content"][0]["content"]
        tag = content[1 : content.index(">")]
        assert content.endswith(f"</{tag}>")
        assert f"<{tag}>" in api.requests[0]["system"]
        tags.add(tag)
    assert len(tags) == 2


def test_the_command_prints_both_models(api, command, refused):
    for _ in range(2 * len(injection.DEFENCES)):
        api.enqueue("I don't know.")
    got = command("step2_tools", "injection", "--limit", "2", "--model", "claude-sonnet-5-5")
    assert (got.code, api.left) == (0, 0)
    assert got.err.splitlines()[:2] == ["obedient, defence: none", "obedient, defence: marking"]
    lines = [line.split() for line in got.out.splitlines()]
    assert lines[:2] == [
        ["held,", "of", "2", "obedient", "claude-sonnet-5-5"],
        ["none", "0%", "(0-66)", "100%", "(34-100)"],
    ]
    assert "--limit 0 is not allowed" in refused("step2_tools", "injection", "--limit", "0")
