"""The material of conversations: the tools of all domains, and wordings around questions."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from step4_finetune.toolcalls.domains import SLOT, Tool, read_tools

HERE = Path(__file__).parent
SENTENCES = ("summary", "summary", "summary", "message", "answer", "text")  # names of a field with a sentence


@dataclass(frozen=True)
class Material:
    """The tools by domain, and the wordings."""

    domains: dict[str, list[Tool]]
    chat: list[str]
    systems: list[str]
    before: list[str]
    after: list[str]
    joins: list[dict[str, Any]]
    declined: list[str]
    errors: list[str]
    failed: list[str]
    openings: list[str]
    related: list[list[str]]
    both: list[dict[str, Any]]

    @classmethod
    def read(cls, leave_out: frozenset[str] = frozenset()) -> Material:
        """From the files, without the domains `leave_out`."""
        frames = yaml.safe_load((HERE / "frames.yaml").read_text(encoding="utf-8"))
        return cls(
            {name: tools for name, tools in read_tools().items() if name not in leave_out},
            (HERE / "chat.txt").read_text(encoding="utf-8").splitlines(),
            (HERE / "systems.txt").read_text(encoding="utf-8").splitlines(),
            **frames,
            both=yaml.safe_load((HERE / "both.yaml").read_text(encoding="utf-8")),
        )

    def unrelated(self, names: set[str]) -> list[str]:
        """The domains whose questions no tool of the domains `names` can answer."""
        near = names.union(*(group for group in self.related if names.intersection(group)))
        return [name for name in self.domains if name not in near]

    def result(self, tool: Tool, arguments: dict[str, Any], chance: random.Random) -> tuple[str, str, bool]:
        """The result of a call, the model's answer to it, and whether the call failed."""
        if not tool.answers or not tool.results:
            return "", "", False
        if chance.random() < 0.08:
            value = next((each for each in arguments.values() if isinstance(each, str)), "the request")
            error = chance.choice(self.errors).format(value=value)
            return error, chance.choice(self.failed).format(error=error), True
        facts = {name: chance.choice(values) for name, values in tool.results.items()}
        known = {name: in_words(value) for name, value in {**arguments, **facts}.items()}
        able = [text for text in tool.answers if all(match[2] in known for match in SLOT.finditer(text))]
        if not able:
            return "", "", False
        answer = SLOT.sub(lambda match: known[match[2]], able[0])
        whole: dict[str, Any] = dict(facts)
        if chance.random() < 0.3:
            whole = {**arguments, **whole}
        if chance.random() < 0.65:  # the answer is a sentence of the result
            answer = SLOT.sub(lambda match: known[match[2]], chance.choice(able))
            whole = {chance.choice(SENTENCES): answer, **whole, "source": "example data"}
        if chance.random() < 0.2:
            return "; ".join(f"{name}: {in_words(value)}" for name, value in whole.items()), answer, False
        return json.dumps(whole, ensure_ascii=False), answer, False


def in_words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


@dataclass
class Offered:
    """A tool under one conversation's names for it and its parameters."""

    tool: Tool
    domain: str
    name: str
    about: str
    parameters: dict[str, str]  # each parameter's own name, and its name here
    described: bool = True

    def definition(self) -> dict[str, Any]:
        """As the Messages API takes it."""
        properties, required = {}, []
        for own, here in self.parameters.items():
            parameter = self.tool.parameters[own]
            properties[here] = parameter.as_schema(described=self.described)
            if not parameter.optional:
                required.append(here)
        schema = {"type": "object", "properties": properties, "required": required}
        return {"name": self.name, "description": self.about, "input_schema": schema}

    def call(self, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """A call with this conversation's names."""
        return self.name, {here: arguments[own] for own, here in self.parameters.items() if own in arguments}


@dataclass
class Question:
    """A question with the calls that answer it: tools, and arguments under their own names."""

    text: str
    calls: list[tuple[Offered, dict[str, Any]]] = field(default_factory=list)
