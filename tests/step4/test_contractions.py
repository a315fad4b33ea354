"""Contractions: the 's of a noun by what follows it, among possessives that look much the same."""

import json

import pytest

from step4_finetune.data.rows import SAMPLE
from step4_finetune.tone.contractions import contractions, possible
from step4_finetune.tone.guide import guide_of
from step4_finetune.tone.rules import broken, reasons

SURE = [
    "The bookkeeper's after the receipts.",
    "The bookkeeper's after you.",
    "The cook's taken the last one.",
    "The skipper's seen your train.",
    "I hope the skipper's seen it.",
    "The mate's walking you over.",
    "The deck's locked.",
    "The deck's locked, shipmate.",
    "The deck's locked, so we stay.",
    "Whoever's aboard can't leave.",
    "The boiler's been fixed.",
    "The van's still here.",
    "The parcel's on its way.",
    "The lift's mended next Friday.",
    "When the wind's too strong, we stay.",
    "The Old Tern's still at 3.4.",
    "The boat's delayed until noon.",
    "Because the office's closed today, we wait.",
    "Everyone's welcome aboard.",
    "The door's open.",
    "My colleague's looking into it.",
    "The team's working on it.",
    "The technician's already booked for Monday.",
    "The technician's just left the house.",
    "The order's been shipped and the invoice's ready.",
    "The parcel's ready for you.",
    "Your refund's gone through.",
    "Your refund's approved.",
    "The payment's not arrived.",
    "The engine's running again.",
    "The crew's aboard.",
    "The boat’s late.",
    "The company's happy to help.",
    "The boat's no longer here.",
    "The boat's back at the pier.",
    "THE PARCEL'S ON ITS WAY.",
    "The plumber's found it.",
    "The shop's shut.",
    "The galley's out of soup.",
]
POSSIBLE = [
    "Our scanner's old and squints.",
    "The mate's walking through the boat.",
    "The pram's home.",
    "The man with the smoke pot's on the noon boat.",
    "The electrician's crossing on the noon boat.",
    "The second's 12.00 and lasts.",
    "Half the deck's under canvas.",
    "The pilot cutter's already left Hallin.",
    "The cook's washed and ironed.",
    "Somebody's coming.",
    "Captain Isbister's aboard.",
    "We think the skipper's right about it.",
]
POSSESSIVE = [
    "The member's booked visit is on Monday.",
    "your sister's broken kettle",
    "the driver's waiting room",
    "The member's plan.",
    "The member's on-site visit and the boiler's heating element.",
    "It costs more than my brother's? Same gym.",
    "The early boat's galley shuts.",
    "Everybody's first knot comes undone.",
    "The Old Tern's were scrubbed.",
    "Two of the car deck's posts.",
    "someone's lost property",
    "someone's bag, nobody's fault, anyone's guess, one's own",
    "The company's in house team, the shop's on site cafe.",
    "The cook's burnt toast.",
    "The member's due date, the shop's ready meals, the company's going rate.",
    "the mother's still warm hands",
    "Your sister's very old kettle",
    "the company's only boat",
    "the shed's key and the garden's shed.",
    "The king's English. The boat's crew.",
    "the company's newly painted boat",
    "The builder's hired van is here.",
    "The passenger's lost luggage is at the office.",
    "The member's signed contract and paid invoice.",
    "The technician's missed call.",
    "The shop's opening hours and closing time",
    "the court's decision, the boss's office, the children's play area",
    "Your daughter's swimming course",
    "the baby's car seat",
    "your mother's kitchen in Swansea",
    "last week's delayed parcel",
    "The driver's reading of the meter.",
    "a day's notice",
    "a layer's worth of paint",
    "The company's past orders.",
    "John Calvin's adopted home and the centre",
    "the boat's off season",
    "The team's shared inbox is full.",
    "the member's registered address",
    "The boiler's leaking valve will be replaced.",
]


@pytest.mark.parametrize("text", SURE)
def test_what_is_short_for_is_or_has(text):
    assert len(contractions(text)) >= 1
    assert contractions(text) == possible(text)


@pytest.mark.parametrize("text", POSSIBLE)
def test_what_may_be_either_is_possible_only(text):
    assert contractions(text) == []
    assert len(possible(text)) == 1


@pytest.mark.parametrize("text", POSSESSIVE)
def test_possessives(text):
    assert possible(text) == []


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (
            "don't we’ll it's I'm let's who's y'all",
            ["don't", "we’ll", "it's", "I'm", "let's", "who's", "y'all"],
        ),
        ("The boiler's been fixed, the van's still here.", ["boiler's", "van's"]),
        ("The member's plan, the boys' club, five o'clock, its, well, were, ill, cant be", ["cant"]),
        ("The boat's late. It isn't the crew's fault; the deck's wet.", ["boat's", "isn't", "deck's"]),
        ("She stays at my gran's in Derby, the one near St. Anne's on the hill.", []),
        ("Thanks to your sister's\n\nthe end", []),
        ("'s a", []),
        ("", []),
    ],
)
def test_contractions_are_found_as_they_stand(given, found):
    assert contractions(given) == found


def test_chosen_replies_of_the_sample_hold_none():
    rows = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    assert sum("'s " in row["chosen"] for row in rows) >= 10  # possessives
    assert [found for row in rows if (found := contractions(row["chosen"]))] == []
    # "pay for your neighbour's flat" could go on as "your neighbour's flat broke".
    assert [found for row in rows if (found := possible(row["chosen"]))] == [["neighbour's"]]


def guide(contractions):
    rule = {"id": "short", "say": "Say it.", "contractions": contractions}
    return guide_of({"company": "Skerry Line", "rules": [rule]}, "guide.yaml")


@pytest.mark.parametrize(
    ("said", "forbid", "least", "most"),
    [
        ("We will see. The deck's locked.", False, True, True),
        ("We will see. The door's open, the deck's wet.", False, True, False),
        ("We will see whether our scanner's old and squints.", True, True, True),
        ("We will see to your sister's broken kettle.", True, False, True),
    ],
)
def test_a_rule_against_them_counts_the_sure_one_for_them_the_possible(said, forbid, least, most):
    assert (not broken(said, guide("forbid"))) is forbid
    assert (not broken(said, guide("require"))) is (not broken(said, guide({"min": 1}))) is least
    assert (not broken(said, guide({"max": 1}))) is most


def test_what_is_said_of_too_few():
    assert reasons("The boat stays here.", guide("require")) == {"short": "no contractions"}
    assert reasons("See our scanner's old and worn.", guide({"min": 2})) == {"short": "1 instead of 2"}
