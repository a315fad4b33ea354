"""What is tuned for the embedded model: the wording of its tool chooser, by the same programs as a prompt.

    target = ChooserWording(settings, tools)
    target.ask(prompt, "Do I need a coat in Oslo?").calls

To DSPy the chooser is a model like any other: the instruction is the wording and its weights (as YAML), the
demonstrations are demonstrations, the reply is a list of calls. What it can't do is write a better one, so
a rule does (`Proposer`): it reads what went wrong, as GEPA's model would, and changes one thing. Likelihoods
are remembered (shared/embedded/remember.py): other weights cost milliseconds a question, a new wording about
half of the first time.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import yaml

from shared import models, prompts
from shared.catalog import lookup
from shared.config import Settings
from shared.embedded import wording
from shared.embedded.calls import Caller
from shared.embedded.likelihood import Likelihood
from shared.embedded.meaning import Meaning
from shared.embedded.remember import Remembering
from shared.prompts import Prompt
from step2_tools.conditions import Reply, written
from step2_tools.tool import FunctionTool

TEMPLATES = (
    "Tool: {{name}}. {{description}} ({{parameters}})\nQuestion:",
    "Tool: {{name}}. {{description}} ({{parameters}})\nUser:",
    "Function {{name}}({{parameters}}): {{description}}\nA user who needs it asks:",
    "{{description}} It is called {{name}} and takes {{parameters}}.\nQuestion:",
    "Topic: {{name}}. {{description}} Details: {{parameters}}.\nSomeone asks:",
)
NEUTRAL = (
    "A text to write, translate, correct or summarise.",
    "Arithmetic, logic and puzzles.",
    "News, sports results and celebrities.",
    "Advice on health, law, money or cooking.",
    "A question about the assistant itself.",
)
FIRST = {"overlap": 1.0, "meaning": 20.0}  # of a weight that was 0, so that no factor moves it


class ChooserWording:
    """The tool chooser of the settings' model; satisfies optimize.Target."""

    metric, threads = "right_tool", 1
    optimizers: tuple[str, ...] = ("gepa", "shots")

    def __init__(self, settings: Settings, tools: Sequence[FunctionTool]) -> None:
        path = settings.chooser or wording.PROMPTS / "chooser.1.md"
        wording.load(path)  # or one line on what is wrong
        self.start, self.folder = prompts.read(path), path.parent
        self.proposer = Proposer(settings.seed)
        self._tools: list[dict[str, Any]] = [{**tool.to_dict()} for tool in tools]
        model: Any = models.load_causal_lm(settings=settings)
        self.lm = Remembering(Likelihood(model, models.load_tokenizer(settings=settings)))
        self._meaning = None if lookup(settings.model).random else Meaning(settings)
        self._caller = lru_cache(maxsize=2)(self._new_caller)  # each holds what it has read

    def _new_caller(self, said: wording.Wording) -> Caller:
        return Caller(self.lm, self._meaning, said)

    def ask(self, prompt: Prompt, question: str) -> Reply:
        """The calls that the question leads to under this wording."""
        calls = self._caller(wording.of(prompt)).calls(question, self._tools)
        return Reply([{"name": call.name, "input": call.input} for call in calls], "", 0, 0)

    def complete(self, system: str, messages: list[dict[str, str]], max_tokens: int) -> str:  # noqa: ARG002
        """The chooser as a model: wording and demonstrations in, calls out."""
        said = [message["content"] for message in messages]
        prompt = self.to_prompt(system, list(zip(said[:-1:2], said[1::2], strict=True)))
        return json.dumps(self.ask(prompt, said[-1]).calls, ensure_ascii=False)

    def write(self, system: str, messages: list[dict[str, str]], max_tokens: int) -> str:
        """It can't write instructions, and no search asks it to."""
        raise NotImplementedError

    def to_program(self, prompt: Prompt) -> tuple[str, list[tuple[str, str]]]:
        """The wording as one text, and the demonstrations."""
        return as_text(prompt.system, prompt.meta["neutral"], prompt.meta["weights"]), list(prompt.examples)

    def to_prompt(self, instructions: str, demos: Sequence[tuple[str, str]]) -> Prompt:
        """And back; of DSPy's demonstrations, those that ask for one tool."""
        said = yaml.safe_load(instructions)
        examples = [example for demo in demos if (example := self._example(*demo))]
        meta = {"neutral": said["neutral"], "weights": said["weights"]}
        return dataclasses.replace(self.start, system=said["tool"], examples=tuple(examples), meta=meta)

    def _example(self, question: str, reply: str) -> tuple[str, str] | None:
        calls = json.loads(reply)
        if not isinstance(calls, list):
            return question, reply  # of a prompt file
        tools = [tool for tool in self._tools if tool["name"] in {call["name"] for call in calls}]
        return wording.example(question, tools[0]) if len(tools) == 1 else None

    @staticmethod
    def written(row: dict[str, Any]) -> str:
        return written(row)


def as_text(tool: str, neutral: Sequence[str], weights: Mapping[str, float]) -> str:
    """A wording as DSPy's instruction."""
    what = {"tool": tool, "neutral": list(neutral), "weights": dict(weights)}
    return yaml.safe_dump(what, sort_keys=False, allow_unicode=True, width=1000).strip()


class Proposer:
    """GEPA's proposer of instructions without a model: reads the complaints, changes one thing about it.

    More calls than asked for: speak louder for "no tool", or make cuts dearer. Fewer: the reverse. Another
    tool: other words for the tools, or another weight for shared words and for meaning.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:
        return {
            name: self._change(candidate[name], [str(each["Feedback"]) for each in reflective_dataset[name]])
            for name in components_to_update
            if name in reflective_dataset
        }

    def _change(self, instructions: str, feedback: Sequence[str]) -> str:
        said, random = yaml.safe_load(instructions), self._random
        weights = said["weights"]
        complaints = Counter(
            kind for each in feedback for kind in ("too many", "too few", "another tool") if kind in each
        )
        kind = "another tool"
        if complaints:
            kind = random.choices(list(complaints), list(complaints.values()))[0]
        moves = {
            "too many": ["bias", "cut", "neutral", "overlap", "meaning"],
            "too few": ["bias", "cut", "overlap", "meaning", "tool"],
            "another tool": ["tool", "overlap", "meaning", "neutral"],
        }
        move, up = random.choice(moves[kind]), kind == "too many"
        if move in ("bias", "cut"):
            weights[move] = round(weights[move] + random.choice([1.0, 2.0, 3.0]) * (1 if up else -1), 3)
        elif move in ("overlap", "meaning"):
            more = random.random() < 0.5 if kind == "another tool" else not up
            factor = random.choice([1.2, 1.5])
            weights[move] = round(weights[move] * (factor if more else 1 / factor), 3) or FIRST[move]
        elif move == "tool":
            said["tool"] = random.choice([each for each in TEMPLATES if each != said["tool"]])
        else:
            text = random.choice(NEUTRAL)
            others = [each for each in said["neutral"] if each != text]
            gone = len(others) < len(said["neutral"]) and others
            said["neutral"] = others if gone else [*others, text]
        return as_text(said["tool"], said["neutral"], weights)
