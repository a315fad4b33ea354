"""Random conversations for training, composed from the tools and wordings of domains/.

    row = compose(Material.read(), number=7, seed=0)
    row["tools"]       some tools in the Messages API's format, each under one of its names
    row["branches"]    conversations with these tools: questions, calls, results, answers

A row has several short conversations about the same tools, which are read once for all (train/branches.py).
An empty list means no call. Kinds of questions:

    call        one tool, one wording            many        one call for each of several values
    joined      two or three at once             both        one sentence that two tools answer (both.yaml)
    other       for a tool that is not offered   follow      "and in Oslo?", after a call
    never, chat no task for a tool
"""

import random
from functools import reduce
from typing import Any

from step4_finetune.toolcalls.domains import Tool, fill, in_lower_case, misspelt, pick, repeats
from step4_finetune.toolcalls.material import Material, Offered, Question

KINDS = {
    "call": 38, "many": 11, "joined": 17, "both": 9, "follow": 8, "other": 10, "never": 12, "chat": 7,
}  # fmt: skip
STRANGE = 0.12  # share of invented names in questions: the model should copy, not recall


def compose(material: Material, number: int, seed: int = 0) -> dict[str, Any]:
    """One row; the same number and seed give the same one."""
    return Composer(material, random.Random(f"{seed}-{number}")).compose()


class Composer:
    """Composes one row from the material by random choices."""

    def __init__(self, material: Material, chance: random.Random) -> None:
        self.material, self.chance = material, chance
        self.offered = self._offer()

    # --- which tools ---

    def _offer(self) -> list[Offered]:
        """Mostly tools of one domain, and some of unrelated ones, each under one of its names."""
        chance, domains = self.chance, self.material.domains
        assistant = chance.random() < 0.45 and "assistant" in domains
        main = "assistant" if assistant else chance.choice(list(domains))
        size = chance.choice((1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 5, 6))
        if main == "assistant" and chance.random() < 0.5:
            size = 4
        own = domains[main]
        near = size if main == "assistant" else chance.choice((1, size, size))
        picked = [(main, tool) for tool in chance.sample(own, min(near, len(own)))]
        others = self.material.unrelated({main})
        while len(picked) < size and others:
            domain = chance.choice(others)
            tool = chance.choice(domains[domain])
            if all(tool is not each for _, each in picked):
                picked.append((domain, tool))
        chance.shuffle(picked)
        if main == "assistant" and chance.random() < 0.5:  # in step 2's order
            order = [tool.name for tool in own]
            picked.sort(key=lambda each: order.index(each[1].name) if each[1].name in order else 99)
        offered: dict[str, Offered] = {}
        for domain, tool in picked:
            new = self._disguised(domain, tool)
            offered.setdefault(new.name, new)
        return list(offered.values())

    def _disguised(self, domain: str, tool: Tool) -> Offered:
        chance = self.chance
        name = chance.choice(tool.names) if tool.names and chance.random() < 0.5 else tool.name
        own_about = domain == "assistant" and chance.random() < 0.8
        about = tool.about[0] if own_about else chance.choice(tool.about)
        names = {
            own: chance.choice(each.names) if each.names and chance.random() < 0.4 else own
            for own, each in tool.parameters.items()
        }
        if len(set(names.values())) < len(names):
            names = {own: own for own in names}
        if domain != "assistant" and chance.random() < 0.15:
            names = dict(chance.sample(list(names.items()), len(names)))
        return Offered(tool, domain, name, about, names, described=chance.random() > 0.12)

    # --- what is asked ---

    def compose(self) -> dict[str, Any]:
        """A row: system message, tools, and branches."""
        chance = self.chance
        count = chance.choice((10, 11, 12)) if len(self.offered) > 1 else chance.choice((5, 6))
        branches = [self._branch() for _ in range(count)]
        system = chance.choice(self.material.systems) if chance.random() < 0.4 else ""
        return {"system": system, "tools": [each.definition() for each in self.offered], "branches": branches}

    def _branch(self) -> list[dict[str, Any]]:
        """One conversation: a question and its calls; some continue with results or a second question."""
        chance = self.chance
        question = self._question(None)
        messages = [{"role": "user", "content": question.text}, *self._answered(question, 0)]
        if chance.random() < 0.12:
            if not question.calls:  # a history holds texts, not `[]`
                messages[1] = {
                    "role": "assistant",
                    "content": chance.choice(self.material.declined),
                    "given": True,
                }
            second = self._question(question)
            messages += [{"role": "user", "content": second.text}, *self._answered(second, 1)]
        return messages

    def _question(self, before: Question | None) -> Question:
        chance = self.chance
        while True:
            kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
            found: Question | None = getattr(self, f"_{kind}")(before)
            if found is not None:
                return self._framed(found) if kind != "follow" else found

    def _call(self, _before: Question | None) -> Question:
        return self._one(self.chance.choice(self.offered))

    def _one(self, offered: Offered) -> Question:
        return self._filled(offered, self.chance.choice(offered.tool.asks))

    def _filled(self, offered: Offered, wording: str) -> Question:
        wording, implied = offered.tool.ask(wording)
        if self.chance.random() < 0.08:
            wording = misspelt(wording, self.chance)
        text, calls = fill(offered.tool, wording, implied, self.chance, strange=STRANGE)
        while any(repeats(call) for call in calls):
            text, calls = fill(offered.tool, wording, implied, self.chance, strange=STRANGE)
        if self.chance.random() < 0.22:
            text, calls = in_lower_case(offered.tool, text, calls)
        if self.chance.random() < 0.15:
            text = text.rstrip("?.!")
        return Question(text, [(offered, each) for each in calls])

    def _many(self, _before: Question | None) -> Question | None:
        able = [each for each in self.offered if each.tool.many]
        if not able:
            return None
        offered = self.chance.choice(able)
        return self._filled(offered, self.chance.choice(offered.tool.many))

    def _both(self, _before: Question | None) -> Question | None:
        """A sentence of both.yaml; a slot has the same value in both calls."""
        offered = {each.tool.name: each for each in self.offered if each.domain == "assistant"}
        able = [each for each in self.material.both if all(call["tool"] in offered for call in each["calls"])]
        if not able:
            return None
        chosen = self.chance.choice(able)
        text, values = chosen["text"], dict[str, Any]()
        calls: list[tuple[Offered, dict[str, Any]]] = []
        for call in chosen["calls"]:
            each = offered[call["tool"]]
            for name in call.get("use", ()):
                if name not in values:
                    said, values[name] = pick(each.tool.parameters[name], self.chance, STRANGE)
                    text = text.replace("{" + name + "}", said)
            given = {name: values[name] for name in call.get("use", ())} | call.get("implied", {})
            calls.append((each, each.tool.in_order(given)))
        if any(calls[at] in calls[:at] or repeats(calls[at][1]) for at in range(len(calls))):
            return None
        if self.chance.random() < 0.22:
            calls = [(each, in_lower_case(each.tool, text, [given])[1][0]) for each, given in calls]
            text = text.lower()
        return Question(text, calls)

    def _joined(self, _before: Question | None) -> Question:
        chance = self.chance
        parts = [
            (self._other(None) if chance.random() < 0.1 else None) or self._one(chance.choice(self.offered))
            for _ in range(chance.choice((2, 2, 2, 2, 3)))
        ]
        return reduce(self._together, parts)

    def _together(self, first: Question, second: Question) -> Question:
        join = self.chance.choice(self.material.joins)
        a, b = first.text.strip(), second.text.strip()
        bare = not a.endswith(("?", ".", "!")) or self.chance.random() < 0.4
        if join["lower"]:
            a = a.rstrip("?.!") if bare else a
            plain = b.split(" ", 1)[0].rstrip(",'’") in self.material.openings
            b = b[:1].lower() + b[1:] if plain else b
        elif a[-1:] not in "?.!":
            a += self.chance.choice((".", "?", ",", ""))
        return Question(join["text"].replace("{a}", a).replace("{b}", b), first.calls + second.calls)

    def _follow(self, before: Question | None) -> Question | None:
        if before is None or len(before.calls) != 1:
            return None
        offered, arguments = before.calls[0]
        if not offered.tool.follow:
            return None
        question = self._filled(offered, self.chance.choice(offered.tool.follow))
        calls = [(tool, offered.tool.in_order({**arguments, **new})) for tool, new in question.calls]
        return Question(question.text, calls)

    def _other(self, _before: Question | None) -> Question | None:
        chance, domains = self.chance, self.material.domains
        mine = {each.domain for each in self.offered}
        far = self.material.unrelated(mine)
        near = [
            (name, tool)
            for name in sorted(mine - {"weather_variants", "markets_variants", "search"})
            for tool in domains[name]
            if all(tool is not each.tool for each in self.offered)
        ]
        if near and chance.random() < 0.5:
            domain, tool = chance.choice(near)
        elif far:
            domain = chance.choice(far)
            tool = chance.choice(domains[domain])
        else:
            return None
        return Question(self._one(self._disguised(domain, tool)).text)

    def _never(self, _before: Question | None) -> Question | None:
        wordings = [text for each in self.offered for text in each.tool.never]
        if not wordings:
            return None
        text = self.chance.choice(wordings)
        return Question(text.lower() if self.chance.random() < 0.2 else text)

    def _chat(self, _before: Question | None) -> Question:
        text = self.chance.choice(self.material.chat)
        return Question(text.lower() if self.chance.random() < 0.15 else text)

    def _framed(self, question: Question) -> Question:
        before = self.chance.choice(self.material.before) if self.chance.random() < 0.13 else ""
        after = self.chance.choice(self.material.after) if self.chance.random() < 0.1 else ""
        return Question(f"{before}{question.text}{after}", question.calls)

    # --- what comes back ---

    def _answered(self, question: Question, number: int) -> list[dict[str, Any]]:
        """The model's calls; in some cases with their results and the model's answer."""
        chance = self.chance
        if not question.calls:
            return [{"role": "assistant", "content": []}]
        calls, results, said = [], [], []
        for at, (offered, arguments) in enumerate(question.calls):
            name, given = offered.call(arguments)
            use = {"type": "tool_use", "id": f"toolu_{number}_{at}", "name": name, "input": given}
            calls.append(use)
            result, answer, failed = self.material.result(offered.tool, arguments, chance)
            block = {"type": "tool_result", "tool_use_id": use["id"], "content": result}
            results.append(block | ({"is_error": True} if failed else {}))
            said.append(answer)
        found: list[dict[str, Any]] = [{"role": "assistant", "content": calls}]
        if all(said) and len(calls) <= 3 and chance.random() < 0.15:
            found.append({"role": "user", "content": results})
            found.append({"role": "assistant", "content": " ".join(said)})
        return found
