"""The tools that the model learns from, in one YAML file for each domain: their schemas, and how people ask.

    - name: book_table
      names: [reserve_table, restaurants.book]              # other names for the same tool
      about: [Reserve a table at a restaurant., Book a table for some guests.]
      parameters:
        restaurant: {type: string, names: [venue], about: Its name., values: [Chez Nous, "Otto's"]}
        guests: {type: integer, about: How many come., values: [2, "four => 4", "a dozen => 12"]}
        seating: {type: string, enum: [inside, terrace], optional: true, about: Where to sit.}
      asks:                                                 # `| name=value`: implied by the wording
      - book a table for {guests} at {restaurant}
      - "we want to eat outside at {restaurant}, {guests} of us | seating=terrace"
      many: ["compare {*restaurant} for {guests} people"]   # one call for each of two or three values
      follow: ["and at {restaurant}?"]                      # a second question; other arguments stay
      never: [how do I become a waiter?]                    # similar words, but no task for the tool
      results: {time: ["19:30", "20:15"], code: [K7731, B22]}
      answers: ["Your table at {restaurant} is booked for {time}, the code is {code}."]

A value is the text that people write, and the call's value after `=>` where it differs: "four => 4".
CSafeLoader is eight times faster than the one in Python.
"""

import json
import random
import re
from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic.dataclasses import dataclass

FOLDER = Path(__file__).with_name("domains")
SLOT = re.compile(r"\{(\*?)([A-Za-z_]\w*)\}")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a tool; `values` are as people write them, see `spoken`."""

    type: str  # string, integer, number, boolean; strings, integers, numbers: a list of them
    about: str
    names: list[str] = field(default_factory=list)
    enum: list[str] | None = None
    optional: bool = False
    default: Any = None  # shown in the schema only
    values: list[Any] = field(default_factory=list)

    def spoken(self) -> list[tuple[str, Any]]:
        """The texts that people write, with the values that they mean."""
        parts = (str(each).partition(" => ") for each in self.values or self.enum or [])
        return [(text, _value(value or text, self.type.removesuffix("s"))) for text, _, value in parts]

    def as_schema(self, *, described: bool) -> dict[str, Any]:
        """The parameter as JSON schema."""
        of = self.type.removesuffix("s")
        schema: dict[str, Any] = (
            {"type": "array", "items": {"type": of}} if self.type.endswith("s") else {"type": of}
        )
        if self.enum:
            schema["enum"] = self.enum
        if described:
            schema["description"] = self.about
        if self.default is not None:
            schema["default"] = self.default
        return schema


@dataclass(frozen=True)
class Tool:
    """A tool, how people ask for it, and what it returns."""

    name: str
    about: list[str]
    asks: list[str]
    parameters: dict[str, Parameter] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    many: list[str] = field(default_factory=list)
    follow: list[str] = field(default_factory=list)
    never: list[str] = field(default_factory=list)
    results: dict[str, list[Any]] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)

    def in_order(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Arguments in the order of the parameters."""
        return {name: arguments[name] for name in self.parameters if name in arguments}

    def ask(self, text: str) -> tuple[str, dict[str, Any]]:
        """A wording, `text | name=value`, as its text with slots, and the arguments that it implies."""
        text, _, rest = text.partition(" | ")
        implied = {}
        for each in filter(None, (part.strip() for part in rest.split(";"))):
            name, _, value = (part.strip() for part in each.partition("="))
            implied[name] = _value(value, self.parameters[name].type)
        return text.strip(), implied


def _value(text: str, type_: str) -> Any:
    """A value of the type from its text."""
    if type_ == "string":
        return text
    value = json.loads(text.lower() if type_ == "boolean" else text)
    return [value] if type_.endswith("s") and not isinstance(value, list) else value


@cache
def read_tools() -> dict[str, list[Tool]]:
    """The tools by domain, in the order of the file names."""
    return {
        path.stem: [Tool(**row) for row in yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)]
        for path in sorted(FOLDER.glob("*.yaml"))
    }


def fill(
    tool: Tool, text: str, implied: dict[str, Any], chance: random.Random, strange: float = 0.0
) -> tuple[str, list[dict[str, Any]]]:
    """A question from a wording, and the arguments of its calls (several for a slot with a star)."""
    said: dict[str, str] = {}
    common: dict[str, Any] = {}
    starred: tuple[str, list[Any]] | None = None
    for star, name in SLOT.findall(text):
        if name in said:
            continue
        parameter = tool.parameters[name]
        if not star and not parameter.type.endswith("s"):
            said[name], common[name] = pick(parameter, chance, strange)
            continue
        count = chance.choice((2, 2, 3) if star else (2, 3, 4))
        spoken = parameter.spoken()
        chance.shuffle(spoken)
        different = {str(value): (text, value) for text, value in spoken}  # one writing of each value
        picked = [changed(each, parameter, chance, strange) for each in list(different.values())[:count]]
        texts, numbers = [text for text, _ in picked], parameter.type not in ("string", "strings")
        if star:
            said[name] = _joined(texts, chance, numbers=numbers)
            starred = (name, [value for _, value in picked])
        else:
            commas = numbers and chance.random() < 0.7
            said[name] = ", ".join(texts) if commas else _joined(texts, chance, numbers=numbers)
            common[name] = [value for _, value in picked]
    question = SLOT.sub(lambda match: said[match[2]], text)
    common |= implied
    calls = [common] if starred is None else [{**common, starred[0]: value} for value in starred[1]]
    return question, [tool.in_order(call) for call in calls]


def pick(parameter: Parameter, chance: random.Random, strange: float) -> tuple[str, Any]:
    """A random text for a parameter, and the value that it means."""
    return changed(chance.choice(parameter.spoken()), parameter, chance, strange)


def changed(
    spoken: tuple[str, Any], parameter: Parameter, chance: random.Random, strange: float
) -> tuple[str, Any]:
    """The same, or with probability `strange` an invented name: Torunto for Toronto."""
    text, value = spoken
    if text != value or parameter.enum or chance.random() >= strange:
        return spoken
    letters = list(text)
    able = [at for at in range(1, len(text)) if text[at - 1 : at + 1].isalpha() and text[at].islower()]
    for at in chance.sample(able, min(len(able), chance.choice((1, 1, 2)))):
        letters[at] = chance.choice("aeiou" if text[at] in "aeiou" else "bdfgklmnprstvw")
    return "".join(letters), "".join(letters)


def _joined(texts: list[str], chance: random.Random, *, numbers: bool) -> str:
    """The values as an enumeration; "plus" between numbers would be a sum."""
    words = (" and ", " and ", " and ", " & ", " and also ") + (() if numbers else (" plus ",))
    return ", ".join(texts[:-1]) + chance.choice(words) + texts[-1]


def repeats(call: dict[str, Any]) -> bool:
    """Whether a call has the same text twice: from euros to euros."""
    texts = [value for value in call.values() if isinstance(value, str)]
    return len(set(texts)) < len(texts)


def in_lower_case(tool: Tool, text: str, calls: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """The question in lower case, and so are the values that the calls copy from it."""

    def lower(name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [lower(name, each) for each in value]
        copied = isinstance(value, str) and not tool.parameters[name].enum and value in text
        return value.lower() if copied else value

    return text.lower(), [{name: lower(name, value) for name, value in call.items()} for call in calls]


def misspelt(text: str, chance: random.Random) -> str:
    """The wording with one word misspelt, outside its slots: two letters swapped, one dropped or doubled."""
    words = text.split(" ")
    able = [at for at, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not able:
        return text
    at = chance.choice(able)
    word, i = words[at], chance.randrange(1, len(words[at]) - 2)
    words[at] = chance.choice(
        (
            word[:i] + word[i + 1] + word[i] + word[i + 2 :],
            word[:i] + word[i + 1 :],
            word[: i + 1] + word[i:],
        )
    )
    return " ".join(words)
