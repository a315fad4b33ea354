"""Ten rows that keep the sample's guide and are like nothing else, and what it takes to spoil one."""

import dataclasses
import json
from importlib.util import find_spec

import pytest

from step4_finetune.data.rows import Row
from tests.step4.samples import reply

needs_presidio = pytest.mark.skipif(not find_spec("presidio_analyzer"), reason="pip install .[presidio]")
TEXTS = [  # topic, split, message, notes, body of chosen, what stands in rejected instead of what
    (
        "kettle",
        "train",
        "my kettle leaks from the lid since 3 May, water all over the worktop",
        ["plan: technician will inspect and replace the seal", "ask: model printed below the handle"],
        "We are sorry that your kettle has leaked from its lid since 3 May. A technician will inspect the "
        "seal and replace it. Please tell us the model that is printed below the handle.",
        ("We are", "We're"),
    ),
    (
        "kettle",
        "train",
        "Where has order K2207 got to? It was promised for Friday.",
        ["plan: carrier traces it, arrival confirmed by tomorrow", "ask: whether a neighbour took it in"],
        "Your order K2207 should have reached you on Friday. We will trace it with the carrier and confirm "
        "its arrival by tomorrow. Please look whether a neighbour took it in.",
        ("confirm", "hopefully confirm"),
    ),
    (
        "boiler",
        "train",
        "Could someone come and do the yearly boiler service in the first week of June?",
        ["done: visit reserved in the first week of June", "ask: morning or afternoon"],
        "The yearly service of your boiler is due, and the first week of June suits us. We have reserved a "
        "visit for you in that week. Please choose a morning or an afternoon.",
        ("us.", "us!"),
    ),
    (
        "boiler",
        "train",
        "How do I top up the pressure on the boiler, the gauge is down at 0.5",
        [
            "cause: boiler needs more water",
            "how: open the tap below it until the needle stands at the green field, then close it",
            "offer: hear from us again if the pressure falls within a day",
        ],
        "A gauge at 0.5 means that the boiler needs more water. Open the tap below it until the needle "
        "stands at the green field, then close it. We would like to hear from you again if the pressure "
        "falls within a day.",
        ("We would", "I would"),
    ),
    (
        "magazine",
        "train",
        "Please stop the garden magazine, nobody here reads it any more",
        ["done: subscription ended", "note: no further issue will be sent", "ask: keep this message"],
        "We have ended your subscription of the garden magazine, and no further issue will be sent to our "
        "member. Please keep this message.",
        ("member", "customer"),
    ),
    (
        "magazine",
        "train",
        "We move to Ashford next month. Send the magazine there, will you?",
        ["plan: delivery address changes next month", "needed: street and house number"],
        "From next month the magazine shall find you in Ashford. We will change the delivery address as "
        "soon as we know it in full. Please send us the street and the house number.",
        ("Please send us the street and the house number.", "Will you send us the street and house number?"),
    ),
    (
        "gym card",
        "dev",
        "the turnstile does not take my gym card, red light every time",
        [
            "cause: card was locked",
            "done: unlocked",
            "plan: team sends a new code",
            "ask: hold card for two seconds",
        ],
        "A red light at the turnstile means that your card was locked. Our team has unlocked it and sends a "
        "new code to your account. Please hold the card to the reader for two seconds.",
        ("A red", "Hey, a red"),
    ),
    (
        "gym card",
        "dev",
        "The man at your front desk laughed when I asked about the sauna. Disgraceful.",
        ["plan: manager reviews it and speaks with the team", "ask: day and hour of the visit"],
        "We apologise for the laughter at the front desk when you asked a fair question. A manager will "
        "review what happened and speak with the team. Please tell us the day and the hour of your visit.",
        ("manager will", "manager might"),
    ),
    (
        "parcel",
        "test",
        "I was billed 14.90 for a parcel that I never ordered!",
        [
            "plan: charge checked, 14.90 back in your account within five working days",
            "ask: refuse the parcel if it is offered",
        ],
        "You were billed for a parcel that is not yours. We will check the charge and return the 14.90 to "
        "your account within five working days. Please refuse the parcel if it is offered to you.",
        ("is not", "isn't"),
    ),
    (
        "parcel",
        "test",
        "Whoever carried the big box up four floors: thank you, that was kind",
        ["plan: words passed on to the drivers of that day", "ask: date, to find the right ones"],
        "Carrying a big box up four floors is hard work, and your kind words will delight the people who "
        "did it. We will pass them on to the drivers of that day. Please tell us the date so that we find "
        "the right ones.",
        ("people", "guys"),
    ),
]


def good():
    """The ten, on tone and faithful, against a near miss of the tone each."""
    return [
        Row(
            id=f"{topic.replace(' ', '-')}-{number}",
            prompt=({"role": "user", "content": message},),
            chosen=reply(body),
            rejected=reply(body.replace(*change)),
            split=split,
            topic=topic,
            notes=tuple(notes),
        )
        for number, (topic, split, message, notes, body, change) in enumerate(TEXTS, 1)
    ]


def spoilt(row, message=None, **changes):
    """The row with something else in its place."""
    if message is not None:
        changes["prompt"] = ({"role": "user", "content": message},)
    return dataclasses.replace(row, **changes)


def as_file(path, rows):
    """The rows as JSON lines in the sample's form."""
    names = ("id", "topic", "split", "message", "notes", "chosen", "rejected", "breaks")
    lines = [
        json.dumps({name: getattr(row, name) for name in names}, ensure_ascii=False) + "\n" for row in rows
    ]
    path.write_text("".join(lines), encoding="utf-8")
    return path
