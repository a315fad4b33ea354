"""Fidelity: what a reply leaves out of its notes, adds to them and turns around; and the sample's rows."""

import json
from dataclasses import replace

import pytest

from step4_finetune.data.curate import labels
from step4_finetune.data.notes import build
from step4_finetune.data.rows import FACTS, SAMPLE, read_rows
from step4_finetune.tone import rules
from step4_finetune.tone.fidelity import Fidelity, check, facts
from step4_finetune.tone.scores import score
from tests.step4.samples import GUIDE, reply


def found(body, *notes, message="", greeting="Dear member,"):
    return check(reply(body, greeting), notes, message, GUIDE.own)


REFUND, WHEN = "decision: refund approved", "when: within five working days"
PARTS = "parts: valve, hose, clamp, washer, pump"
GLASS = "glass delivered broken at 10:30 by van"
DRIVER = "driver: met by Karl, has the key"
VOUCHER = "A voucher for the sauna lies in your locker."


@pytest.mark.parametrize(
    ("body", "notes", "wrong"),
    [
        (
            "We have approved the refund of 79.50. It is paid back within five working days.",
            ["decision: refund of 79.50 approved", "paid back: within 5 working days"],
            {},
        ),
        ("We have approved the refund.", [REFUND, WHEN], {"missing": (WHEN, "5")}),
        ("We bring a valve, a hose, a clamp and a pump.", [PARTS], {}),  # four words of five are enough
        ("We bring the parts, a valve, a hose and a clamp.", [PARTS], {"missing": (PARTS,)}),  # no key
        ("A van comes at 10:30.", [GLASS], {"missing": (GLASS,)}),  # the colon of a time makes no key
        ("The van delivered broken glass at 10:30.", [GLASS], {}),
        ("The refund of 97.50 is approved.", [REFUND], {"added": ("97.5",)}),
        ("The refund is approved for Tuesday.", [REFUND], {"added": ("tuesday",)}),
        ("The refund is approved by Karl.", [REFUND], {"added": ("karl",)}),
        (f"The refund is approved. {VOUCHER}", [REFUND], {"added": (VOUCHER,)}),
        ("The refund is approved. Thank you for your kind message, and we are sorry.", [REFUND], {}),
        ("Karl met you. He has the key.", [DRIVER], {}),  # a name may begin a sentence
    ],
)
def test_missing_and_added(body, notes, wrong):
    assert found(body, *notes) == Fidelity(**wrong)
    assert found(body, *notes).faithful is not bool(wrong)


@pytest.mark.parametrize(
    ("note", "missing"),
    [
        ("plan: technician comes on 12 June", ("12", "june")),
        ("plan: technician Okafor comes", ("okafor",)),
        ("plan: technician comes with part X20", ("20", "x20")),
        ("plan: technician comes", ()),
    ],
)
def test_dates_days_names_and_codes_are_required(note, missing):
    left_out = found("The technician comes.", note).missing
    assert tuple(each for each in left_out if each != note) == missing


def test_facts_of_the_message_are_not_added():
    body = "The refund for the sauna on 3 May is approved."
    assert found(body, REFUND).added == ("3", "may")
    assert found(body, REFUND, message="The Sauna was shut on 3 May!").faithful


def test_the_greeting_may_use_a_name_of_the_notes():
    body, note = "The repair is approved.", "decision: repair approved"
    assert found(body, note, "member: Ms Okafor", greeting="Dear Ms Okafor,").faithful
    assert found(body, note, greeting="Dear Ms Okafor,").added == ("okafor",)
    assert found(body, note, "member: Ms Okafor").missing == ("member: Ms Okafor", "okafor")


@pytest.mark.parametrize(
    ("notes", "wrong", "right"),
    [
        (["decision: refund approved"], "The refund is not approved.", "The refund is approved."),
        (["declined: pick-up at home"], "A pick-up at home is arranged.", "We decline a pick-up at home."),
        (["cover: door not included"], "The door is included.", "The door isn't included."),
        (["plan: pump repaired on site"], "The pump was repaired on site.", "The pump is repaired on site."),
        (["done: pump repaired"], "We will repair the pump.", "We have repaired the pump."),
        (
            ["rule: odd payments are held, not paid"],  # a denial in one clause of a note
            "Odd payments are held, paid.",
            "Odd payments are held, not paid.",
        ),
        (
            ["decision: refund approved", "declined: voucher"],  # in one clause of a sentence
            "The refund is declined, but the voucher is approved.",
            "The refund is approved, but the voucher is declined.",
        ),
        (
            ["visit: plumber comes on Monday", "delivery: parcel arrives on Friday"],
            "The plumber comes on Friday. The parcel arrives on Monday.",
            "The plumber comes on Monday. The parcel arrives on Friday.",
        ),
    ],
)
def test_denials_plans_and_swapped_facts(notes, wrong, right):
    assert found(wrong, *notes) == Fidelity(turned=tuple(notes))
    assert found(right, *notes).faithful


def test_the_guides_own_phrases_are_not_added():
    desk = replace(GUIDE, company="Merrow Bank", sign_offs=("At your service,\nThe Card Desk",))
    text = "Dear member,\n\nThe refund is approved.\n\nAt your service,\nThe Card Desk"
    assert score(text, desk, [REFUND]).faithful
    assert score(text, replace(desk, sign_offs=()), [REFUND]).fidelity.added == ("card", "desk")


@pytest.mark.parametrize(
    ("passage", "found"),
    [
        ("five or 50.00", {"5", "50"}),
        ("1,200.00 and 1200", {"1200"}),
        ("twenty-five", {"25"}),
        ("14.90, 14.09, 1.5 and 15", {"14.9", "14.09", "1.5", "15"}),
        ("from 9:00 to 9:30", {"9:00", "9:30"}),
        ("the 18th, on 3 May or May 3", {"18", "3", "may"}),
        ("You may come in May", {"may"}),
        ("Please ask Ms Okafor’s office at Mill Lane. I may know.", {"okafor", "mill", "lane"}),
        ("It is late, so I've, I’ll, I'm and I'd are no names.", set()),
    ],
)
def test_numbers_dates_and_names(passage, found):
    assert facts(passage) == found


def test_the_samples_labels_are_right():
    """The chosen replies keep the guide and are faithful; `breaks` says just what is wrong with the others.

    The program has false alarms, too, on what is true: few on chosen replies, some on those off the tone.
    """
    rows = read_rows(SAMPLE)
    assert {row.split for row in rows} == {"train", "dev", "test"}
    assert len({row.id for row in rows}) == len(rows) >= 500
    assert all(row.notes and row.facts and row.breaks and row.rejected for row in rows)
    flawed = [row.id for row in rows if not _score(row).good]
    assert len(flawed) <= 0.01 * len(rows), flawed
    for each in (labels.label_noise, labels.named_breaks):
        assert not each(rows, lambda reply: rules.reasons(reply, GUIDE)).cases
    unfaithful = labels.faithful(rows, GUIDE.own).cases  # natural replies in other words than the notes
    assert all(case.example.startswith("chosen: ") for case in unfaithful)
    assert len(unfaithful) <= 0.02 * len(rows), unfaithful
    off_tone = [row for row in rows if FACTS not in row.breaks]
    assert off_tone


def _score(row):
    return score(row.chosen, GUIDE, row.notes, row.message, row.compared_with)


def test_the_sample_is_what_the_builder_writes():
    """Rows in the file, and no others: so that the data can be changed in its sources."""
    made = build.build()
    lines = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    assert lines == made


def test_train_has_neither_topics_nor_sentences_of_dev_and_test():
    rows = read_rows(SAMPLE)
    by_split = {split: [row for row in rows if row.split == split] for split in ("train", "dev", "test")}
    topics = {split: {row.topic for row in some} for split, some in by_split.items()}
    assert not topics["train"] & (topics["dev"] | topics["test"])
    assert not topics["dev"] & topics["test"]
    for held_out in ("dev", "test"):  # whole messages, and notes but for the shortest ("no exc")
        new = {note for row in by_split[held_out] for note in row.notes if len(note.split()) > 4}
        old = {note for row in by_split["train"] for note in row.notes}
        assert len(new & old) <= 0.03 * len(new), new & old
