"""What documents of made-up offices say, and how people ask for it: one YAML file for each kind of office.

    - kind: lift_service
      relation: true                # the value is something that other facts can be about
      is: firm
      phrase: the firm that services the lifts
      say: ["The lifts are serviced by {v}.", "Lifts: {v}", ...]
      ask: ["Who services our lifts?", "which firm looks after the lifts", ...]
      values: [Ottway Lifts, ...]
      act: [{ask: "Open a ticket for {phrase}: the annual check is due.", title: "{v}: annual check"}]

{s} is the subject, {v} the value, {n} the number in the value.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

HERE = Path(__file__).parent
FACTS = HERE / "facts"
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


class Computation(BaseModel):
    """A question whose answer must be computed, and the steps: `12 * {n}; convert CHF`, or `days`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ask: str
    do: str


class Action(BaseModel):
    """A request for a ticket or a message that needs what was looked up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ask: str
    title: str = ""  # of a ticket
    to: str = ""  # of a message
    text: str = ""


class Fact(BaseModel):
    """A kind of fact."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    kind: str
    relation: bool = False
    value_is: str = Field("", alias="is")  # of a relation's value: firm, person, thing or place
    phrase: str = ""
    about: str = ""  # what the subject is
    say: list[str]
    ask: list[str]
    values: list[str]
    subjects: list[str] = []
    unit: str = "none"
    compute: list[Computation] = []
    act: list[Action] = []

    @field_validator("values", "subjects", "say", "ask", mode="before")
    @classmethod
    def _texts(cls, values: Any) -> list[str]:
        return [str(value) for value in values or ()]

    @property
    def has_subject(self) -> bool:
        """Whether it is about a subject."""
        return any("{s}" in text for text in self.say + self.ask)


def number_in(value: str) -> str:
    """The number in a value, without separators: `1250` of `1,250 EUR`; empty if there is none."""
    match = NUMBER.search(value)
    return match[0].replace(",", "") if match else ""


@cache
def read_facts() -> dict[str, list[Fact]]:
    """The facts by the kind of office, in the order of the files."""
    facts = {}
    for path in sorted(FACTS.glob("*.yaml")):
        rows = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
        facts[path.stem] = [Fact.model_validate(row) for row in rows]
    return facts


@cache
def read_frames() -> dict[str, Any]:
    """What stands around the facts: frames.yaml."""
    frames: dict[str, Any] = yaml.safe_load((HERE / "frames.yaml").read_text(encoding="utf-8"))
    return frames
