"""Ten rows that keep the sample's guide and are like nothing else, and what it takes to spoil one."""

import dataclasses
import json
from importlib.util import find_spec

import pytest

from step4_finetune.data import Row

needs_presidio = pytest.mark.skipif(not find_spec("presidio_analyzer"), reason="pip install .[presidio]")
SIGN_OFF = "Kind regards,\nNorthwind Care"


def reply(body):
    """A reply as the sample's guide wants it, around its body."""
    return f"Dear member,\n\n{body}\n\n{SIGN_OFF}"


TEXTS = [  # topic, split, intent, message, subject, facts, body of chosen, body of rejected
    (
        "kettle",
        "train",
        "repair",
        "my kettle leaks from the lid since 3 May, water all over the worktop",
        ["kettle"],
        ["3 May"],
        "We are sorry that your kettle has leaked from its lid since 3 May. A technician will inspect the "
        "seal and replace it under your cover. Please tell us the model that is printed below the handle.",
        "We're sorry that your kettle has leaked from its lid since 3 May. A technician will inspect the "
        "seal and replace it under your cover. Please tell us the model that is printed below the handle.",
    ),
    (
        "kettle",
        "train",
        "delivery",
        "Where has order K2207 got to? It was promised for Friday.",
        ["order"],
        ["K2207"],
        "Your order K2207 should have reached you on Friday. We will trace it with the carrier and confirm "
        "its arrival by tomorrow. Please look whether a neighbour took it in.",
        "Your order K2207 should have reached you on Friday. We will trace it with the carrier and "
        "hopefully confirm its arrival by tomorrow. Please look whether a neighbour took it in.",
    ),
    (
        "boiler",
        "train",
        "book",
        "Could someone come and do the yearly boiler service in the first week of June?",
        ["boiler"],
        [],
        "The yearly service of your boiler is due, and the first week of June suits us. We have reserved a "
        "visit for you in that week. Please choose a morning or an afternoon.",
        "The yearly service of your boiler is due, and the first week of June suits us! We have reserved a "
        "visit for you in that week. Please choose a morning or an afternoon.",
    ),
    (
        "boiler",
        "train",
        "explain",
        "How do I top up the pressure on the boiler, the gauge is down at 0.5",
        ["boiler", "pressure"],
        ["0.5"],
        "A gauge at 0.5 means that the boiler needs more water. Open the tap below it until the needle "
        "stands at the green field, then close it. Please write to us again if the pressure falls within a "
        "day.",
        "A gauge at 0.5 means that the boiler needs more water. Open the tap below it until the needle "
        "stands at the green field, then close it. I would like to hear from you if the pressure falls "
        "within a day.",
    ),
    (
        "magazine",
        "train",
        "cancel",
        "Please stop the garden magazine, nobody here reads it any more",
        ["magazine"],
        [],
        "Nobody should pay for a magazine that lies unread. We have ended your subscription, and no "
        "further issue will be sent. Please keep this message as your confirmation.",
        "No customer should pay for a magazine that lies unread. We have ended your subscription, and no "
        "further issue will be sent. Please keep this message as your confirmation.",
    ),
    (
        "magazine",
        "train",
        "change",
        "We move to Ashford next month. Send the magazine there, will you?",
        ["magazine"],
        ["Ashford"],
        "From next month the magazine shall find you in Ashford. We will change the delivery address as "
        "soon as we know it in full. Please send us the street and the house number.",
        "From next month the magazine shall find you in Ashford. We will change the delivery address as "
        "soon as we know it in full. Send us the street and the house number.",
    ),
    (
        "gym card",
        "dev",
        "access",
        "the turnstile does not take my gym card, red light every time",
        ["card"],
        [],
        "A red light at the turnstile means that your card is locked. Our team has unlocked it and sends a "
        "new code to your account. Please hold the card to the reader for two seconds.",
        "Hey, a red light at the turnstile means that your card is locked. Our team has unlocked it and "
        "sends a new code to your account. Please hold the card to the reader for two seconds.",
    ),
    (
        "gym card",
        "dev",
        "complaint",
        "The man at your front desk laughed when I asked about the sauna. Disgraceful.",
        ["desk"],
        [],
        "We apologise for the laughter at the front desk when you asked a fair question. A manager will "
        "review what happened and speak with the team. Please tell us the day and the hour of your visit.",
        "We apologise for the laughter at the front desk when you asked a fair question. A manager might "
        "review what happened and speak with the team. Please tell us the day and the hour of your visit.",
    ),
    (
        "parcel",
        "test",
        "refund",
        "I was billed 14.90 for a parcel that I never ordered!",
        ["parcel"],
        ["14.90"],
        "You were billed 14.90 for a parcel that is not yours. We will check the charge and return the "
        "amount to your account within five working days. Please refuse the parcel if it is offered to you.",
        "You were billed 14.90 for a parcel that isn't yours. We will check the charge and return the "
        "amount to your account within five working days. Please refuse the parcel if it is offered to you.",
    ),
    (
        "parcel",
        "test",
        "praise",
        "Whoever carried the big box up four floors: thank you, that was kind",
        ["box"],
        [],
        "Carrying a big box up four floors is hard work, and your kind words will please the people who "
        "did it. We will pass them on to the drivers of that day. Please tell us the date so that we find "
        "the right ones.",
        "Carrying a big box up four floors is hard work, and your kind words will please the guys who did "
        "it. We will pass them on to the drivers of that day. Please tell us the date so that we find the "
        "right ones.",
    ),
]


def good():
    """The ten, on tone against a near miss each."""
    return [
        Row(
            id=f"{topic.replace(' ', '-')}-{number}",
            prompt=({"role": "user", "content": message},),
            chosen=reply(chosen),
            rejected=reply(rejected),
            split=split,
            topic=topic,
            intent=intent,
            subject=tuple(subject),
            facts=tuple(facts),
        )
        for number, (topic, split, intent, message, subject, facts, chosen, rejected) in enumerate(TEXTS, 1)
    ]


def spoilt(row, message=None, **changes):
    """The row with something else in its place."""
    if message is not None:
        changes["prompt"] = ({"role": "user", "content": message},)
    return dataclasses.replace(row, **changes)


def as_file(path, rows):
    """The rows as JSON lines in the sample's form."""
    lines = []
    for row in rows:
        lines.append(
            json.dumps(
                {
                    "id": row.id,
                    "topic": row.topic,
                    "split": row.split,
                    "intent": row.intent,
                    "message": row.message,
                    "subject": row.subject,
                    "facts": row.facts,
                    "chosen": row.chosen,
                    "rejected": row.rejected,
                    "breaks": row.breaks,
                },
                ensure_ascii=False,
            )
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
