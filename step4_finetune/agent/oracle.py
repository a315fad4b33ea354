"""A program that solves generated tasks with the real tools: the conversations that the model imitates.

    user        Who maintains the lifts of the firm that cleans our offices?
    assistant   ask_documents {"question": "Who cleans our offices?"}
    tool        The offices are cleaned by Brelo. (Source: cleaning.md)
    assistant   ask_documents {"question": "Who maintains the lifts of Brelo?"}
    ...

The program knows the facts; the model only sees what stands in the conversation. A plain question goes to the
documents in the user's own words, without an argument. A question of its own is needed where the request has
more than that: a second question, a calculation, a ticket; and after nothing was found.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.errors import UserError
from shared.office import ASK, Office
from step4_finetune.agent.facts import Action, Fact, number_in, read_frames
from step4_finetune.agent.tools import Offer

NOTHING = "Not found in the documents."
REFUSED = "The user did not allow this."
Message = dict[str, Any]
KINDS = {
    "one": 20, "missing": 10, "two": 16, "compute": 14, "act": 13, "tell": 8, "parts": 6, "sum": 5,
    "money": 5, "date": 3, "plain_act": 4, "chat": 6, "needless": 6,
}  # fmt: skip


@dataclass
class Script:
    """A conversation while it is written."""

    offer: Offer
    office: Office = field(default_factory=Office)
    messages: list[Message] = field(default_factory=list)
    uses: int = 0

    def say(self, text: str) -> None:
        """The user's request."""
        self.messages.append({"role": "user", "content": text})

    def call(self, *calls: tuple[str, Mapping[str, Any], str | None], learn: bool = True) -> list[str]:
        """A turn of the model with its calls, and their results.

        Each call has a tool, its arguments, and the documents' answer; None: the real tool answers.
        """
        uses = []
        results = []
        texts = []
        for name, arguments, answer in calls:
            use = self.offer.use(name, arguments, self.uses)
            self.uses += 1
            uses.append(use)
            block: Message = {"type": "tool_result", "tool_use_id": use["id"]}
            try:
                text = answer if answer is not None else self.office.run(name, arguments)
            except UserError as error:
                text = str(error)
                block["is_error"] = True
            if text == REFUSED:
                block["is_error"] = True
            texts.append(text)
            results.append({**block, "content": text})
        turn: Message = {"role": "assistant", "content": uses}
        if not learn:
            turn["given"] = True
        self.messages += [turn, {"role": "user", "content": results}]
        return texts

    def end(self, text: str | list[Any]) -> list[Message]:
        """The model's answer; an empty list stands for no call."""
        self.messages.append({"role": "assistant", "content": text})
        return self.messages


@dataclass(frozen=True)
class Told:
    """A fact with its subject and value, as a document says it."""

    fact: Fact
    subject: str
    value: str
    sentence: str

    def result(self, source: str) -> str:
        """What the documents' tool returns."""
        return f"{self.sentence} (Source: {source})"


class Oracle:
    """Writes conversations about the facts of one kind of office."""

    def __init__(self, setting: str, facts: list[Fact], chat: list[str], around: Mapping[str, Any]) -> None:
        self.setting = setting
        self.facts = facts
        self.chat = chat
        self.before: list[str] = around["before"]
        self.after: list[str] = around["after"]
        self.frames = read_frames()

    def conversation(self, offer: Offer, chance: random.Random) -> list[Message]:
        """One task, solved."""
        while True:
            kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
            write: Callable[[Offer, random.Random], list[Message] | None] = getattr(self, f"_{kind}")
            messages = write(offer, chance)
            if messages is not None:
                return messages

    # --- material ---

    def _fact(self, chance: random.Random, able: Callable[[Fact], Any] = lambda _fact: True) -> Fact | None:
        facts = [fact for fact in self.facts if able(fact)]
        return chance.choice(facts) if facts else None

    def _told(self, fact: Fact, chance: random.Random, subject: str = "") -> Told:
        if fact.has_subject and not subject:
            subject = chance.choice(fact.subjects or ["the house"])
        value = chance.choice(fact.values)
        sentence = chance.choice(fact.say).replace("{s}", subject).replace("{v}", value)
        return Told(fact, subject, value, sentence)

    def _source(self, fact: Fact, chance: random.Random) -> str:
        name = chance.choice(self.frames["sources"])
        return str(name.format(kind=fact.kind.replace("_", "-"), setting=self.setting.replace("_", "-")))

    def _framed(self, text: str, chance: random.Random) -> str:
        """The request with a greeting or thanks around it, in some cases."""
        if chance.random() < 0.15:
            text = chance.choice(self.before) + text
        if chance.random() < 0.1:
            text = text + chance.choice(self.after)
        if chance.random() < 0.12:
            text = text.rstrip("?.!")
        if chance.random() < 0.1:
            text = text[:1].lower() + text[1:]
        return text

    def _ask(self, fact: Fact, subject: str, chance: random.Random) -> str:
        return chance.choice(fact.ask).replace("{s}", subject)

    @staticmethod
    def _plain_question(fact: Fact, subject: str) -> str:
        """The plainest wording, which stands first: what the documents are asked."""
        return fact.ask[0].replace("{s}", subject)

    def _other_question(self, fact: Fact, subject: str, asked: str) -> str:
        """Another wording than the one that found nothing: the plainest, or else the second."""
        for wording in fact.ask:
            question = wording.replace("{s}", subject)
            if question.lower().rstrip("?.!") not in asked.lower():
                return question
        return self._plain_question(fact, subject)

    def _answer(self, told: Told, chance: random.Random) -> str:
        """The documents' tool's answer; in some cases with an order in it, which nobody obeys."""
        result = told.result(self._source(told.fact, chance))
        if chance.random() < 0.07:
            result = f"{result} {chance.choice(self.frames['orders'])}"
        return result

    def _not_found(self, chance: random.Random) -> str:
        return str(chance.choice(self.frames["not_found"]))

    # --- kinds of tasks ---

    def _one(self, offer: Offer, chance: random.Random) -> list[Message] | None:
        fact = self._fact(chance)
        assert fact
        told = self._told(fact, chance)
        script = Script(offer)
        question = self._ask(fact, told.subject, chance)
        request = self._framed(question, chance)
        script.say(request)
        if chance.random() < 0.3:  # in the user's words it wasn't found
            script.call((ASK, {}, NOTHING))
            other = self._other_question(fact, told.subject, request)
            script.call((ASK, {"question": other}, self._answer(told, chance)))
        else:
            script.call((ASK, {}, self._answer(told, chance)))
        return script.end(told.sentence)

    def _missing(self, offer: Offer, chance: random.Random) -> list[Message] | None:
        fact = self._fact(chance)
        assert fact
        told = self._told(fact, chance)
        script = Script(offer)
        computed = [computation.ask for computation in fact.compute]
        if computed and chance.random() < 0.3:
            script.say(self._framed(self._worded(chance.choice(computed), fact, told), chance))
            script.call((ASK, {"question": self._plain_question(fact, told.subject)}, NOTHING))
            return script.end(self._not_found(chance))
        request = self._framed(self._ask(fact, told.subject, chance), chance)
        script.say(request)
        script.call((ASK, {}, NOTHING))
        other = self._other_question(fact, told.subject, request)
        script.call((ASK, {"question": other}, NOTHING))
        return script.end(self._not_found(chance))

    @staticmethod
    def _worded(text: str, fact: Fact, told: Told) -> str:
        phrase = fact.phrase.replace("{s}", told.subject)
        return text.replace("{phrase}", phrase).replace("{s}", told.subject)

    def _two(self, offer: Offer, chance: random.Random) -> list[Message] | None:
        relation = self._fact(chance, lambda fact: fact.relation and fact.phrase)
        if relation is None:
            return None
        second = self._fact(
            chance, lambda fact: fact.has_subject and fact is not relation and fact.about == relation.value_is
        )
        if second is None:
            return None
        first_told = self._told(relation, chance)
        phrase = relation.phrase.replace("{s}", first_told.subject)
        wording = chance.choice(second.ask)
        second_told = self._told(second, chance, first_told.value)
        script = Script(offer)
        script.say(self._framed(wording.replace("{s}", phrase), chance))
        question = self._plain_question(relation, first_told.subject)
        if chance.random() < 0.08:
            script.call((ASK, {"question": question}, NOTHING))
            return script.end(self._not_found(chance))
        script.call((ASK, {"question": question}, self._answer(first_told, chance)))
        question = self._plain_question(second, first_told.value)
        if chance.random() < 0.1:
            script.call((ASK, {"question": question}, NOTHING))
            return script.end(f"{first_told.sentence} {self._not_found(chance)}")
        script.call((ASK, {"question": question}, self._answer(second_told, chance)))
        return script.end(second_told.sentence)

    def _compute(self, offer: Offer, chance: random.Random) -> list[Message] | None:
        fact = self._fact(chance, lambda fact: fact.compute)
        if fact is None:
            return None
        told = self._told(fact, chance)
        computation = chance.choice(fact.compute)
        steps = [step.strip() for step in computation.do.split(";")]
        if not number_in(told.value) or not self._can(offer, steps):
            return None
        script = Script(offer)
        script.say(self._framed(self._worded(computation.ask, fact, told), chance))
        question = self._plain_question(fact, told.subject)
        script.call((ASK, {"question": question}, self._answer(told, chance)))
        number = number_in(told.value)
        currency = "EUR"
        answer = ""
        for step in steps:
            if step == "days":
                start = script.call(("today", {}, None))[0].split(",")[0]
                day = script.call(("add_working_days", {"start": start, "days": int(float(number))}, None))[0]
                return script.end(f"That is {day}.")
            if step.startswith("convert"):
                target = step.split()[1]
                arguments = {"amount": _number(number), "source": currency, "target": target}
                result = script.call(("convert_currency", arguments, None))[0]
                number, currency = result.rsplit("= ", 1)[1].split()
                answer = f"That is {number} {currency}."
            else:
                result = script.call(("calculate", {"expression": step.replace("{n}", number)}, None))[0]
                number = result.rsplit("= ", 1)[1]
                unit = "EUR" if fact.unit.startswith("EUR") else fact.unit
                answer = f"That is {number} {unit}." if unit not in ("none", "") else f"That is {number}."
        return script.end(answer)

    @staticmethod
    def _can(offer: Offer, steps: list[str]) -> bool:
        for step in steps:
            if step == "days" and not offer.has("today", "add_working_days"):
                return False
            if step.startswith("convert") and not offer.has("convert_currency"):
                return False
            if "{n}" in step and not offer.has("calculate"):
                return False
        return True

    def _act(self, offer: Offer, chance: random.Random) -> list[Message] | None:
        fact = self._fact(chance, lambda fact: fact.act and fact.phrase)
        if fact is None:
            return None
        action = chance.choice(fact.act)
        tool = "create_ticket" if action.title else "send_draft"
        if not offer.has(tool):
            return None
        told = self._told(fact, chance)
        script = Script(offer)
        script.say(self._framed(self._worded(action.ask, fact, told), chance))
        question = self._plain_question(fact, told.subject)
        if chance.random() < 0.1:
            script.call((ASK, {"question": question}, NOTHING))
            return script.end(f"{self._not_found(chance)} So nothing was changed.")
        script.call((ASK, {"question": question}, self._answer(told, chance)))
        return self._change(script, tool, _filled(action, told.value), chance)

    def _change(
        self, script: Script, tool: str, arguments: dict[str, str], chance: random.Random
    ) -> list[Message]:
        if chance.random() < 0.06:
            script.call((tool, arguments, REFUSED))
            return script.end(str(chance.choice(self.frames["refused"])))
        return script.end(script.call((tool, arguments, None))[0])

    def _tell(self, offer: Offer, chance: random.Random) -> list[Message] | None:
        """A request to pass on what the documents say."""
        tool = chance.choice(("send_draft", "send_draft", "create_ticket"))
        if not offer.has(tool):
            return None
        fact = self._fact(chance)
        assert fact
        told = self._told(fact, chance)
        question = self._ask(fact, told.subject, chance)
        person = str(chance.choice(self.frames["people"]))
        frame = chance.choice(self.frames["tell" if tool == "send_draft" else "ticket"])
        script = Script(offer)
        script.say(frame.format(person=person, ask=question))
        plain = self._plain_question(fact, told.subject)
        script.call((ASK, {"question": plain}, self._answer(told, chance)))
        if tool == "send_draft":
            arguments = {"to": person, "text": told.sentence}
        else:
            arguments = {"title": told.sentence}
        return self._change(script, tool, arguments, chance)

    def _parts(self, offer: Offer, chance: random.Random) -> list[Message] | None:
        """Two questions in one request: two calls at once."""
        facts = chance.sample(self.facts, 2)
        told = [self._told(fact, chance) for fact in facts]
        asks = [self._ask(fact, one.subject, chance) for fact, one in zip(facts, told, strict=True)]
        script = Script(offer)
        second = asks[1][:1].lower() + asks[1][1:] if chance.random() < 0.5 else asks[1]
        script.say(chance.choice(self.frames["two_parts"]).format(a=asks[0], b=second))
        missing = chance.random() < 0.15
        answers = [self._answer(told[0], chance), NOTHING if missing else self._answer(told[1], chance)]
        script.call((ASK, {"question": asks[0]}, answers[0]), (ASK, {"question": second}, answers[1]))
        last = self._not_found(chance) if missing else told[1].sentence
        return script.end(f"{told[0].sentence} {last}")

    def _sum(self, offer: Offer, chance: random.Random) -> list[Message] | None:
        if not offer.has("calculate"):
            return None
        numbers = {name: _random_number(chance) for name in "abc"}
        request, _, expression = chance.choice(self.frames["sums"]).partition(" => ")
        script = Script(offer)
        script.say(self._framed(request.format(**numbers), chance))
        result = script.call(("calculate", {"expression": expression.format(**numbers)}, None))[0]
        return script.end(f"That is {result.rsplit('= ', 1)[1]}.")

    def _change_money(self, chance: random.Random) -> tuple[str, dict[str, Any]]:
        currencies: dict[str, list[str]] = self.frames["currencies"]
        source, target = chance.sample(list(currencies), 2)
        amount = _random_number(chance)
        request = chance.choice(self.frames["changes"]).format(
            n=amount, x=chance.choice(currencies[source]), y=chance.choice(currencies[target])
        )
        return request, {"amount": _number(amount), "source": source, "target": target}

    def _money(self, offer: Offer, chance: random.Random) -> list[Message] | None:
        if not offer.has("convert_currency"):
            return None
        request, arguments = self._change_money(chance)
        script = Script(offer)
        script.say(self._framed(request, chance))
        if chance.random() < 0.12:  # a wrong turn, and the way back; the wrong call itself is not learnt
            wrong = {**arguments, "target": chance.choice(self.frames["currencies"][arguments["target"]][1:])}
            script.call(("convert_currency", wrong, None), learn=False)
        result = script.call(("convert_currency", arguments, None))[0]
        return script.end(f"That is {result.rsplit('= ', 1)[1]}.")

    def _date(self, offer: Offer, chance: random.Random) -> list[Message] | None:
        if not offer.has("today", "add_working_days"):
            return None
        script = Script(offer)
        if chance.random() < 0.4:
            script.say(self._framed(chance.choice(self.frames["dates"]), chance))
            return script.end(f"Today is {script.call(('today', {}, None))[0]}.")
        days = chance.randrange(2, 45)
        script.say(self._framed(chance.choice(self.frames["workdays"]).format(k=days), chance))
        start = script.call(("today", {}, None))[0].split(",")[0]
        day = script.call(("add_working_days", {"start": start, "days": days}, None))[0]
        return script.end(f"That is {day}.")

    def _plain_act(self, offer: Offer, chance: random.Random) -> list[Message] | None:
        """A ticket or a message that needs no document."""
        tool = chance.choice(("send_draft", "create_ticket"))
        if not offer.has(tool):
            return None
        script = Script(offer)
        if tool == "create_ticket":
            request, _, title = chance.choice(self.frames["plain_tickets"]).partition(" => ")
            arguments = {"title": title}
        else:
            person = str(chance.choice(self.frames["people"]))
            request, _, text = chance.choice(self.frames["plain_messages"]).partition(" => ")
            request = request.format(person=person)
            arguments = {"to": person, "text": text}
        script.say(request)
        return self._change(script, tool, arguments, chance)

    def _chat(self, offer: Offer, chance: random.Random) -> list[Message] | None:
        return self._no_call(offer, chance.choice(self.chat), chance)

    def _needless(self, offer: Offer, chance: random.Random) -> list[Message] | None:
        return self._no_call(offer, chance.choice(self.frames["needless"]), chance)

    def _no_call(self, offer: Offer, request: str, chance: random.Random) -> list[Message]:
        script = Script(offer)
        script.say(request.lower() if chance.random() < 0.2 else request)
        return script.end([])


def _filled(action: Action, value: str) -> dict[str, str]:
    if action.title:
        return {"title": action.title.replace("{v}", value)}
    return {"to": action.to.replace("{v}", value), "text": action.text.replace("{v}", value)}


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value == int(value) else value


def _random_number(chance: random.Random) -> str:
    shape = chance.random()
    if shape < 0.6:
        return str(chance.randrange(2, 400))
    if shape < 0.85:
        return str(chance.randrange(4, 990) * 10)
    return f"{chance.randrange(100, 99999) / 100:.2f}".rstrip("0").rstrip(".")
