"""Whether a text reads as one reply: a table of cases with the flaw of each."""

import pytest

from step4_finetune.data.rows import GUIDE as GUIDE_FILE
from step4_finetune.tone import shorthand, template
from step4_finetune.tone.guide import read_guide
from step4_finetune.tone.one_reply import faults
from step4_finetune.tone.scores import Compared, score

GUIDE = read_guide(GUIDE_FILE)
NOTES = ("exc 50 / tech tue am", "int: 2nd complaint this mth")
FACTS = ("plan: technician Tuesday morning", "excess 50")
INTERNAL = ("This is your second complaint this month.",)
VISIT = "A technician will visit you on Tuesday in the morning."
EXCESS = "The excess is £50."


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (f"{VISIT} {EXCESS}", []),
        ("A technician will visit you on Tuesday in the morning, and the excess is £50.", []),
        (f"Your engineer comes on Tuesday in the morning. {EXCESS}", []),
        (f"{EXCESS} {VISIT}", ["answer"]),
        (f"Technician on Tuesday in the morning. {EXCESS}", ["fragment"]),
        (f"Technician will come on Tuesday in the morning. {EXCESS}", ["fragment"]),  # no article
        (f"{VISIT} Excess 50.", ["fragment"]),
        (f"{VISIT} Excess / 50.", ["fragment"]),
        (f"Your tech will come on Tuesday in the morning. {EXCESS}", ["shorthand"]),
        (f"{VISIT} {EXCESS} You pay an excess of £50.", ["twice"]),
        (f"{VISIT} {EXCESS} {EXCESS}", ["twice"]),
        (f"Please note: {EXCESS}", ["answer"]),
        ("Tuesday is the day, and a technician comes in the morning. The excess is £50.", []),
        ("Unplug it. A technician comes on Tuesday in the morning.", ["answer"]),
    ],
)
def test_flaws(body, kinds):
    assert [kind for kind, _ in faults(body, FACTS, NOTES, "When do you come?")] == kinds


@pytest.mark.parametrize(
    ("body", "good", "leaked"),
    [
        (f"{VISIT} {EXCESS}", True, ()),
        (f"{VISIT} {EXCESS} This is your second complaint this month.", False, INTERNAL),
        (f"{VISIT} {EXCESS} We are sorry for this second complaint of yours in a month.", False, INTERNAL),
        (VISIT, False, ()),
    ],
)
def test_a_good_reply_tells_the_member_all_and_nothing_of_the_staff(body, good, leaked):
    reply = f"Dear member,\n\n{body}\n\nKind regards,\nNorthwind Care"
    found = score(reply, GUIDE, NOTES, "When do you come?", Compared(FACTS, INTERNAL))
    assert found.good is good
    assert found.fidelity.leaked == leaked


def test_notes_in_shorthand_are_written_out_without_those_for_staff():
    notes = [
        "mbr Ms Hill",
        "cov ok / tech tue 14/5 am; int: 2nd complaint",
        "(int) max gw 40",
        "dd 5th - INT - x",
    ]
    told = [
        "member Ms Hill",
        "covered approved",
        "technician Tuesday 14 May in the morning",
        "direct debit 5th",
    ]
    assert shorthand.told(notes, GUIDE) == told


def test_the_template_knows_frames_and_pastes_the_rest():
    body = template.reply(["mbr Ms Hill", "exc 50 / tech tue am", "int: rude", "own words here"], GUIDE)
    assert body.splitlines()[0] == "Dear Ms Hill,"
    assert "The excess is 50. A technician will visit you on Tuesday in the morning. Own words here." in body
    plain = template.reply(["decision: refund of 5.00, as agreed", "ask: keep it"], GUIDE)
    assert "Refund of 5.00, as agreed. Please keep it." in plain
