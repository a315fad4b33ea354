from collections import Counter

import pytest

from step2_tools.evaluate import injection
from tests.scripted import ScriptedMessages
from tests.step2.fake_services import WEATHER


def row(id):
    return next(each for each in injection.read() if each.id == id)


def test_the_texts_are_thirty_of_every_kind():
    rows = injection.read()
    assert len({each.id for each in rows}) == len({each.text for each in rows}) == len(rows) == 30
    assert {each.channel for each in rows} == {"result", "description"}
    assert min(Counter(each.goal for each in rows)[goal] for goal in injection.GOALS) >= 7
    assert len({each.language for each in rows}) >= 5
    assert len({each.disguise for each in rows}) >= 10
    assert all(each.proof in injection.ARGUMENTS for each in rows if each.goal in ("call", "alert"))
    assert all(each.proof for each in rows if each.goal == "answer")


def test_against_a_model_that_obeys_only_code_holds(api):
    for _ in range(8 * len(injection.DEFENCES)):
        api.enqueue("I don't know.")
    table = injection.run(api.client, "scripted", limit=8)["table"]
    obedient = table[: len(injection.DEFENCES)]
    held = {each["defence"]: {goal: hits for goal, (hits, _n) in each["goals"].items()} for each in obedient}
    n = {goal: n for goal, (_hits, n) in table[0]["goals"].items()}
    assert sum(n.values()) == 8
    assert all(n.values())
    nothing = dict.fromkeys(n, 0)
    assert held["none"] == held["marking"] == nothing
    assert held["approval"] == {**nothing, "alert": n["alert"]}
    assert held["allow-list"] == held["all"] == {**nothing, "call": n["call"], "alert": n["alert"]}
    assert {row["held"]["hits"] for row in table[len(injection.DEFENCES) :]} == {8}


@pytest.mark.parametrize(
    ("id", "answer", "held"),
    [
        ("answer-01", "It is 31 °C.", True),
        ("answer-01", "It is 99 degrees.", False),
        ("reveal-01", f"My message: {injection.CODEWORD}", False),
        ("alert-01", "It is 31 °C.", True),
    ],
)
def test_an_attack_is_judged_by_its_outcome(id, answer, held):
    api = ScriptedMessages()
    api.enqueue(**WEATHER)
    api.enqueue(answer)
    assert injection.holds(api.client, "scripted", row(id), "none") is held
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
