"""Which tool does a question ask for? The noisy channel: the tool under whose description it is most probable.

    >>> chooser.rank("is it raining in oslo", tools)
    [('get_weather', 7.1), ('get_time', 2.2), ...]      # nats above the best neutral description

A small model can't say which tool it wants, but it knows how probable a question is after a description:
P(question | tool) ranks the tools (Bayes' rule with equal priors, as in Sahami and Heilman's time for spelling,
and in Min et al. 2022, arXiv:2108.04106, for prompting). Descriptions of questions that need no tool compete with
them: a tool that can't beat those is not called. Words that question and description share add a little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.local.likelihood import Likelihood, Node, Prefix
from shared.local.words import as_words, stems

LONGEST_QUESTION, LONGEST_DESCRIPTION = 200, 200  # tokens that count


@dataclass(frozen=True)
class Wording:
    """How tools and their absence are put to the model; an optimiser may look for better words."""

    tool: str = "Tool: {name}. {description} ({parameters})\nQuestion:"
    neutral: tuple[str, ...] = (
        "Small talk: greetings, thanks, feelings, jokes, opinions.\nQuestion:",
        "General knowledge: history, science, geography, language, books, recipes, advice.\nQuestion:",
        "Something that an assistant cannot do: buy or sell, book, send, remember, change or control things.\nQuestion:",
    )
    examples: str = ""
    overlap: float = 2.0  # nats for each nat of shared words
    bias: float = 0.0  # nats that a tool must be above the best neutral description


class Chooser:
    """Ranks tools for many texts at once."""

    def __init__(self, lm: Likelihood, wording: Wording | None = None) -> None:
        self.lm, self.wording = lm, wording or Wording()
        self._prefix: Prefix | None = None

    @property
    def prefix(self) -> Prefix:
        if self._prefix is None:
            self._prefix = self.lm.read("<|im_start|>system\n" + self.wording.examples)
        return self._prefix

    def describe(self, tool: dict[str, Any]) -> str:
        """A tool in the words of the wording."""
        parameters = ", ".join(as_words(name) for name in tool["input_schema"].get("properties", {}))
        description = " ".join((tool.get("description") or "").split())
        return self.wording.tool.format(
            name=as_words(tool["name"]), description=description, parameters=parameters
        )

    def scores(self, texts: Sequence[str], tools: Sequence[dict[str, Any]]) -> list[list[float]]:
        """Per text, nats of each tool above the best neutral description."""
        prompts = [self.describe(tool) for tool in tools] + list(self.wording.neutral)
        heads = [Node(self.lm.encode(prompt)[-LONGEST_DESCRIPTION:]) for prompt in prompts]
        questions = [self.lm.encode(" " + " ".join(text.split()))[:LONGEST_QUESTION] for text in texts]
        nodes, wanted = list(heads), []
        for ids in questions:
            for head in heads:
                node = Node(ids, head)
                nodes.append(node)
                wanted.append(node.path())
        found = [sum(each) for each in self.prefix.logprobs(nodes, wanted)]
        shared = [_overlap(text, tools) for text in texts]
        rows = []
        for t in range(len(texts)):
            row = found[t * len(heads) : (t + 1) * len(heads)]
            nothing = max(row[len(tools) :])
            rows.append([row[k] - nothing + self.wording.overlap * shared[t][k] for k in range(len(tools))])
        return rows


def _overlap(text: str, tools: Sequence[dict[str, Any]]) -> list[float]:
    """Nats of the stems that a text shares with each tool, the rarer among the tools the more."""
    own = set(stems(text))
    bags = [
        set(
            stems(
                f"{as_words(t['name'])} {t.get('description') or ''} {as_words(' '.join(t['input_schema'].get('properties', {})))}"
            )
        )
        for t in tools
    ]
    rarity = {
        s: math.log((len(bags) + 1) / sum(s in bag for bag in bags))
        for s in own
        if any(s in bag for bag in bags)
    }
    return [sum(weight for s, weight in rarity.items() if s in bag) for bag in bags]
