"""One reply, scored: rules, fidelity where there are notes, and whether it is whole."""

import pytest

from step4_finetune.tone.scores import is_looping, problems, score
from step4_finetune.train import rewards
from tests.step4.samples import BODY, GUIDE, reply

NOTES = ("plan: inspected by a technician", "cost: repaired under your cover", "ask: serial number")
MESSAGE = "My hedge trimmer is louder since 12 May"


def test_a_good_reply_scores_full_marks():
    facts = score(reply(), GUIDE, NOTES, MESSAGE).as_json()
    assert set(facts["rules"]) == {rule.id for rule in GUIDE.rules}
    assert (facts["healthy"], facts["missing"], facts["added"], facts["turned"]) == (True, [], [], [])


@pytest.mark.parametrize(
    ("body", "all_rules", "faithful"),
    [
        (BODY, True, True),
        (BODY.replace("handle", "handle!"), False, True),
        (BODY.replace("12 May", "13 May"), True, False),
        (BODY.replace("12 May", "13 May!"), False, False),
    ],
)
def test_both_needs_tone_and_facts(body, all_rules, faithful):
    found = score(reply(body), GUIDE, NOTES, MESSAGE)
    assert (found.all_rules, found.faithful) == (all_rules, faithful)
    assert found.good == (all_rules and faithful and found.reads)
    assert found.adherence == pytest.approx(1 if all_rules else 10 / 11)


def test_without_notes_fidelity_is_unknown():
    for text in (reply(), reply(BODY + " Cool!")):
        found = score(text, GUIDE, message=MESSAGE)
        assert (found.faithful, found.good, found.fidelity) == (None, None, None)
        assert not {"missing", "added", "turned"} & set(found.as_json())


def test_an_unhealthy_reply_is_not_faithful():
    twice = reply(f"{BODY} {BODY}")
    found = score(twice, GUIDE, NOTES, MESSAGE)
    assert (found.fidelity.faithful, found.problems, found.faithful) == (True, ("looping",), False)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (reply(), ()),
        ("", ("empty",)),
        (reply("Thank you."), ("empty",)),
        ("Dear member,\n\nWe will have your trimmer", ("cut",)),
        (reply("We wait for you. We wait for you. Please come."), ("looping",)),
        (reply("We will send you the part and the part and the part and the part."), ("looping",)),
        ("We will send it and we will send it and we will send it and", ("cut", "looping")),
    ],
)
def test_problems(text, found):
    assert problems(GUIDE.parts(text), GUIDE.sign_offs) == found
    assert is_looping(text) is ("looping" in found)


def test_grpo_is_rewarded_by_tone_and_facts():
    said = [reply(), reply(BODY.replace("12 May", "13 May!")), reply("Thank you.")]
    assert rewards.tone(GUIDE)(said) == [1, pytest.approx(10 / 11), 0]
    columns = {"notes": [list(NOTES), list(NOTES), []], "message": [MESSAGE] * 3}
    turns = [[{"role": "assistant", "content": each}] for each in said]
    assert rewards.faithful(GUIDE)(turns, **columns) == [1, 0.75, None]
