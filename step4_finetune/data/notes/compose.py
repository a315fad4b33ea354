"""Compose rows: messages of members, notes as staff write them, and the replies to learn.

    >>> row = compose(1, "train", seed=0)[0]
    >>> row["message"]
    'The kettle leaks at the base since the weekend. How much is the excess?'
    >>> row["notes"]
    ['tech tue am / exc 50', 'int: 2nd complaint this mth']
    >>> row["facts"], row["internal"]
    (['excess 50', 'plan: technician Tuesday morning'], ['This is your second complaint this month.'])

A row draws a situation, the facts that answer its question, and others that go with them (facts.yaml). In the
notes they stand in any order and in the staff's shorthand; in the reply the answer comes first, then the
others as they are noted, in full sentences. Dev and test have their own topics, and wordings of questions and
notes that train never has.
Hand-written rows (written.yaml) are added as they are.
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from step4_finetune.data.curate.duplicates import Near
from step4_finetune.tone import fidelity
from step4_finetune.tone.guide import read_yaml

FOLDER = Path(__file__).parent
COUNTS = {"train": 2400, "dev": 70, "test": 60}  # composed rows of each split
HELD_OUT = ("dev", "test")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = tuple(month.capitalize() for month in fidelity.MONTHS.split())
TITLES = ("Ms", "Mr", "Mrs", "Dr")
# fmt: off
NAMES = (
    "Hill", "Adeyemi", "Okafor", "Brandt", "Lopez", "Singh", "Marsh", "Keane", "Novak", "Ahmed", "Boyd",
    "Castle", "Dunn", "Ellis", "Fraser", "Grant", "Huang", "Iqbal", "Jones", "Kaur", "Lamb", "Moss",
    "Nash", "Owens", "Pike", "Quinn", "Reid", "Sharp", "Todd", "Usher", "Vance", "Ward", "Yates",
    "Zhang",
)
# fmt: on
MARKERS = ("int: ", "int - ", "INT: ", "staff only: ", "(int) ", "not for mbr: ")
SEPARATORS = (" / ", ", ", "; ", " // ", " / ")
# Facts that contradict each other although they stand in different groups.
NOT_TOGETHER = (
    {"late", "delivery"},
    {"in_stock", "delivery"},
    {"no_fault", "part_due"},
    {"no_fault", "part_ordered"},
    {"no_fault", "guarantee"},
    {"repaired", "part_due"},
    {"repaired", "part_ordered"},
    {"cancelled", "discount"},
    {"cancelled", "added"},
    {"cancelled", "debit_day"},
    {"cancelled", "left"},
    {"renewed", "no_cancel_fee"},
    {"added", "no_cancel_fee"},
    {"ready", "delivery"},
    {"newer", "one_colour"},
    {"ref_no_why", "newer"},
)
NEEDS_A_VISIT = ("call_before", "duration", "clear")


@dataclass
class Told:
    """One fact of a row: its note, its sentence, its content; `asks` if the member must do something."""

    note: str
    sentence: str
    fact: str
    asks: bool
    values: dict[str, str] = field(default_factory=dict)


@cache
def bank(name: str) -> Any:
    """One of the files of this folder."""
    return read_yaml(FOLDER / f"{name}.yaml")


class Composer:
    """Draws rows of one split."""

    def __init__(self, split: str, seed: int) -> None:
        self.split = split
        self.random = random.Random(f"{split} {seed}")

    def row(self, number: int) -> dict[str, Any]:
        """One row, with its chosen reply and a rejected one."""
        name = self.random.choice(list(bank("messages")["situations"]))
        situation = bank("messages")["situations"][name]
        topic = self.random.choice(list(bank("messages")["topics"][self.split]))
        questions = self._questions(situation)
        answers = [self.random.choice(question["about"]) for question in questions]
        others = self._others(situation, answers)
        answered = [self._told(fact) for fact in answers]
        noted = [*answered, *(self._told(fact) for fact in others)]
        self.random.shuffle(noted)
        told = [*answered, *(each for each in noted if each not in answered)]  # the answer first
        member = f"{self.random.choice(TITLES)} {self.random.choice(NAMES)}" if self._by_chance(0.25) else ""
        internal = self._internal()
        message = self._message(situation, questions, topic, told[0].values)
        body = self._body(told, topic, owned=situation.get("owned", True))
        greeting = f"Dear {member}," if member else "Dear member,"
        return {
            "id": f"{name.replace('_', '-')}-{self.split}-{number}",
            "topic": topic,
            "split": self.split,
            "message": message,
            "notes": self._notes(noted, member, [note for note, _ in internal]),
            "facts": [*(each.fact for each in told), *([member] if member else [])],
            "internal": [said for _, said in internal],
            "chosen": reply(body, greeting),
        }

    def _by_chance(self, share: float) -> bool:
        return self.random.random() < share

    def _wording(self, wordings: Sequence[str]) -> str:
        """One of the wordings that the split may use: the last quarter is kept for dev and test."""
        kept = max(1, len(wordings) // 4)
        allowed = wordings[-kept:] if self.split in HELD_OUT else wordings[:-kept]
        return self.random.choice(allowed)

    def _questions(self, situation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """One question of the situation, sometimes two on different facts."""
        first = self.random.choice(situation["asks"])
        others = [each for each in situation["asks"] if _fit([*first["about"], *each["about"]])]
        others = [
            each for each in others if each is not first and not set(each["about"]) & set(first["about"])
        ]
        if others and self._by_chance(0.15):
            return [first, self.random.choice(others)]
        return [first]

    def _others(self, situation: Mapping[str, Any], answers: Sequence[str]) -> list[str]:
        """More facts, at most one of each group, none that contradicts another."""
        groups = [group for group in situation["facts"] if not set(group) & set(answers)]
        wanted = (
            self.random.choice((1, 1, 2, 2, 2, 3)) if len(answers) == 1 else self.random.choice((0, 1, 1))
        )
        chosen: list[str] = []
        for group in self.random.sample(groups, len(groups)):
            fact = self.random.choice(group)
            known = [*answers, *chosen]
            needs_visit = fact in NEEDS_A_VISIT and not any(
                "visit" in each or each == "moved" for each in known
            )
            two_requests = _asks(fact) and any(map(_asks, known))
            if len(chosen) < wanted and not needs_visit and not two_requests and _fit([*known, fact]):
                chosen.append(fact)
        return chosen

    def _told(self, name: str) -> Told:
        """A fact with its slots filled in."""
        entry = bank("facts")[name]
        notes = entry["short"]
        if self.split == "train":
            notes = notes[:-1] if len(notes) > 2 else notes
        elif len(notes) > 2 and self._by_chance(0.5):
            notes = notes[-1:]
        slots = self._slots()
        note = _fill(self.random.choice(notes), {name: short for name, (short, _, _) in slots.items()})
        said = {name: full for name, (_, full, _) in slots.items()}
        sentence = _fill(self.random.choice(entry["full"]), said)
        content = _fill(entry["fact"], {name: content for name, (_, _, content) in slots.items()})
        return Told(note, sentence, content, _asks(name), said)

    def _slots(self) -> dict[str, tuple[str, str, str]]:
        """For each slot: as a note has it, as a reply says it, and its content."""
        found = {}
        for name, values in bank("slots").items():
            if name == "internal":
                continue
            short, full, *content = self.random.choice(values)
            found[name] = (short, full, content[0] if content else full)
        short, article, content = found["doc"]
        found["doc"], found["a_doc"] = (short, article, content), (short, article, content)
        for name in ("day", "day2"):
            day = self._day()
            found[name] = day
            said = day[1] if day[1] == "tomorrow" else f"on {day[1]}"
            found[f"on_{name}"] = (day[0], said, day[2])
            found[f"{name[:1].upper()}{name[1:]}"] = (day[0], f"{day[1][:1].upper()}{day[1][1:]}", day[2])
        found["date"] = self._date()
        found["amt"] = self._amount()
        digits = f"{self.random.randint(1000, 9999)}"
        found["card"] = (digits, digits, digits)
        letters = f"{self.random.choice('ABCDKMPRT')}{self.random.choice('BFHJLNSX')}"
        code = f"{letters}{self.random.randint(100, 9999)}"
        found["code"] = (code, code, code)
        return found

    def _day(self) -> tuple[str, str, str]:
        if self._by_chance(0.06):
            return ("tmrw", "tomorrow", "tomorrow")
        day = self.random.choice(WEEKDAYS)
        short = {"Tuesday": "tue", "Thursday": "thu", "Wednesday": "wed"}.get(day, day[:3].lower())
        if self._by_chance(0.45):
            return (short, day, day)
        note, date, _ = self._date()
        return (f"{short} {note}", f"{day} {date}", f"{day} {date}")

    def _date(self) -> tuple[str, str, str]:
        number, month = self.random.randint(1, 28), self.random.randrange(12)
        date = f"{number} {MONTHS[month]}"
        if self._by_chance(0.25):
            return (f"{number}/{month + 1}", date, date)
        return (f"{number} {MONTHS[month][:3].lower()}", date, date)

    def _amount(self) -> tuple[str, str, str]:
        pounds = self.random.choice((self.random.randint(5, 99), self.random.randint(10, 480)))
        amount = (
            f"{pounds}.{self.random.choice(('50', '90', '25', '99'))}"
            if self._by_chance(0.3)
            else f"{pounds}"
        )
        return (f"£{amount}" if self._by_chance(0.4) else amount, f"£{amount}", amount)

    def _internal(self) -> list[list[str]]:
        """Notes for staff only: none, one or two."""
        n = self.random.choice((0, 0, 1, 1, 1, 2))
        notes = bank("slots")["internal"]
        kept = len(notes) // 4
        return self.random.sample(notes[-kept:] if self.split in HELD_OUT else notes[:-kept], n)

    def _message(
        self,
        situation: Mapping[str, Any],
        questions: Sequence[Mapping[str, Any]],
        topic: str,
        values: dict[str, str],
    ) -> str:
        fault = self.random.choice(bank("messages")["topics"][self.split][topic])
        context = (
            self._wording(situation["contexts"])
            if self._by_chance(0.6)
            else self.random.choice(situation["contexts"])
        )
        article = "an" if topic[0] in "aeiou" else "a"
        context = _fill(context.replace("a {it}", f"{article} {topic}"), {"it": topic, "fault": fault})
        asked = [_fill(self._wording(each["say"]), values) for each in questions]
        if len(asked) == 2:
            asked[1] = self.random.choice(("And ", "Also, ", "One more thing: ")) + _small(asked[1])
        parts = [context, *asked]
        if len(asked) == 1 and self._by_chance(0.2):
            parts.reverse()
        message = " ".join(
            part if part[-1] in ".?!" else f"{part}{self.random.choice(('', '.', '...'))}" for part in parts
        )
        if self._by_chance(0.15):
            message = message.lower().replace("'", "").rstrip(".?")
        return message

    def _notes(self, noted: Sequence[Told], member: str, internal: Sequence[str]) -> list[str]:
        """The facts on some lines; notes for staff end a line or have one of their own."""
        parts = [each.note for each in noted]
        separator = self.random.choice(SEPARATORS)
        lines = [parts[0]]
        for part in parts[1:]:
            if self._by_chance(0.55):
                lines[-1] += separator + part
            else:
                lines.append(part)
        for note in internal:
            text = self.random.choice(MARKERS) + note
            at = self.random.randrange(len(lines))
            if self._by_chance(0.4) and not any(marker in lines[at] for marker in MARKERS):
                lines[at] += separator + text
            else:
                lines.insert(self.random.randrange(len(lines) + 1), text)
        if member:
            lines.insert(0, self.random.choice(("mbr {}", "for {}", "mbr: {}")).format(member))
        return lines

    def _body(self, told: Sequence[Told], topic: str, *, owned: bool) -> str:
        """The sentences, some joined, the thing named with `your` first."""
        sentences: list[str] = []
        named = not owned
        for at, each in enumerate(told):
            sentence = each.sentence
            if "{it}" in sentence or "{It}" in sentence:
                it = f"the {topic}" if named else f"your {topic}"
                sentence = _fill(sentence, {"it": it, "It": f"{it[:1].upper()}{it[1:]}"})
                named = True
            joins = at == 1 or (at == 3 and len(told) > 3)
            can_join = sentences and not each.asks and sentence.split()[0] in JOINED
            if (
                joins
                and can_join
                and len(sentences[-1].split()) + len(sentence.split()) < 22
                and self._by_chance(0.4)
            ):
                sentences[-1] = f"{sentences[-1][:-1]}, and {_small(sentence)}"
            else:
                sentences.append(sentence)
        return " ".join(sentences)


JOINED = [
    "The",
    "You",
    "Your",
    "We",
    "It",
    "A",
    "There",
    "This",
    "Our",
]  # words that begin a sentence which may follow "and"


def reply(body: str, greeting: str = "Dear member,") -> str:
    """A whole reply in the sample's tone."""
    return f"{greeting}\n\n{body}\n\nKind regards,\nNorthwind Care"


def compose(count: int, split: str, seed: int = 0, known: Near | None = None) -> list[dict[str, Any]]:
    """So many rows of a split, whose messages are unlike each other and those that are `known`."""
    composer, near = Composer(split, seed), known or Near()
    rows: list[dict[str, Any]] = []
    tries = 0
    while len(rows) < count and tries < 60 * count:
        tries += 1
        row = composer.row(len(rows) + 1)
        if near.find(row["message"]):
            continue
        near.add(len(near.shingles), row["message"])
        rows.append(row)
    return rows


def _asks(fact: str) -> bool:
    return bool(bank("facts")[fact].get("please"))


def _fit(facts: Iterable[str]) -> bool:
    """Whether no two of the facts contradict each other."""
    together = set(facts)
    return not any(pair <= together for pair in NOT_TOGETHER)


def _fill(text: str, values: Mapping[str, str]) -> str:
    """The text with those slots filled in that have a value."""
    return re.sub(r"\{(\w+)\}", lambda slot: values.get(slot[1], slot[0]), text)


def _small(sentence: str) -> str:
    """With a small first letter, unless the first word is I."""
    if re.match(r"I\b", sentence):
        return sentence
    return f"{sentence[:1].lower()}{sentence[1:]}"
