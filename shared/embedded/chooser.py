"""Which tools does a question ask for? The noisy channel: those under whose description it is most probable.

    >>> clauses = chooser.clauses("Hi! Is it raining in Oslo, and what time is it?", tools)
    >>> [(clause.text, clause.tool) for clause in clauses]
    [('Hi! ', None), ('Is it raining in Oslo, ', 0), ('and what time is it?', 3)]

A small model can't say which tool it wants, but it knows how probable a text is after a description:
P(text | tool) ranks the tools (Bayes' rule with equal priors; Min et al. 2022, arXiv:2108.04106, have it for
prompting). Descriptions of questions that need no tool compete with them. A question of several parts is cut
where that makes it more probable: what follows a cut is read under another description, and a cut has its
price; the best cuts are found by dynamic programming, as in the segmentation of words (Viterbi 1967).

It finds which tools, not with which arguments (calls.py), and knows nothing of what was said before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.embedded import orders
from shared.embedded.clauses import joint_of, pieces
from shared.embedded.likelihood import Likelihood, Node, Place, Prefix
from shared.embedded.meaning import Meaning
from shared.embedded.wording import Wording, in_words, standard
from shared.embedded.words import about, bag, stems

LONGEST_QUESTION, LONGEST_DESCRIPTION = 200, 200  # tokens that count
LONE, SHORT = 2.0, 4  # times `cut` more for a few words that share none with the tool: "and Vienna"
TOLD = 12.0  # nats against a tool for what only tells something
# What a cut costs, in times of `cut`: "and" or a full stop end a thought more often than a comma or "versus".
PRICES = {"and": 1.0, "stop": 1.0, "comma": 2.5, "versus": 3.0}
A_PASS = 1500  # tokens that the model reads at once
TOOL_SETS = 8  # whose descriptions stay in memory


@dataclass(frozen=True)
class Clause:
    """Pieces of a question that belong together, and the place of their tool in the list; None: no tool.

    `margins`: by how many nats each tool is ahead of having no tool.
    """

    pieces: tuple[str, ...]
    tool: int | None
    margins: tuple[float, ...]

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def best(self) -> int:
        """The place of the tool that is ahead, called or not."""
        return max(range(len(self.margins)), key=self.margins.__getitem__)


class Chooser:
    """Reads the descriptions of a set of tools once, then cuts questions up and gives each part its tool."""

    def __init__(
        self, lm: Likelihood, meaning: Meaning | None = None, wording: Wording | None = None
    ) -> None:
        self.lm, self.meaning, self.wording = lm, meaning, wording or standard()
        self._read: dict[str, tuple[Prefix, list[Node]]] = {}

    def anew(self) -> Chooser:
        """The same chooser before it has read anything."""
        return Chooser(self.lm, self.meaning, self.wording)

    def clauses(self, question: str, tools: Sequence[dict[str, Any]], forced: bool = False) -> list[Clause]:
        """The parts of the question, in order; `forced`: each gets a tool."""
        parts = pieces(question)
        margins = self._margins(parts, tools)
        best: list[tuple[float, list[Clause]]] = [(0.0, [])]
        for end in range(1, len(parts) + 1):
            options = []
            for start in range(end):
                row = margins[start, end]
                tool = max(range(len(tools)), key=row.__getitem__)
                clause = Clause(
                    tuple(parts[start:end]), tool if forced or row[tool] > 0 else None, tuple(row)
                )
                gain = row[tool] if forced else max(row[tool], 0.0)
                price = PRICES[joint_of(parts, start)] if start else 0.0
                is_short = end - start < len(parts) and len(clause.text.split()) <= SHORT
                if is_short and not _overlap(clause.text, tools)[tool]:
                    price += LONE
                total = best[start][0] + gain - self.wording.cut * price
                options.append((total, [*best[start][1], clause]))
            best.append(max(options, key=lambda option: option[0]))
        return best[-1][1]

    def _margins(
        self, parts: list[str], tools: Sequence[dict[str, Any]]
    ) -> dict[tuple[int, int], list[float]]:
        """For the pieces from start to end: by how many nats each tool is ahead of having no tool."""
        found, wording = self._logprobs(parts, tools), self.wording
        spans = [(i, j) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1)]
        texts = ["".join(parts[i:j]).strip() for i, j in spans]
        cosines = [[0.0] * len(tools)] * len(texts)
        if self.meaning:
            cosines = self.meaning.cosines(texts, [about(tool) for tool in tools])
        margins = {}
        for (i, j), text, near in zip(spans, texts, cosines, strict=True):
            row, shared = found[i][j - i - 1], _overlap(text, tools)
            nothing = max(row[len(tools) :]) + wording.bias + TOLD * orders.is_statement(text)
            margins[i, j] = [
                row[k] - nothing + wording.overlap * shared[k] + wording.meaning * (near[k] - wording.far)
                for k in range(len(tools))
            ]
        return margins

    def describe(self, tool: dict[str, Any]) -> str:
        """A tool in the words of the wording."""
        return self.wording.tool.format(**in_words(tool))

    def _logprobs(self, parts: list[str], tools: Sequence[dict[str, Any]]) -> list[list[list[float]]]:
        """log P(parts i to j | description k), for every i, then j, then k: tools first, then no tool."""
        prefix, heads = self._heads(tools)
        nodes: list[Node] = []
        wanted: list[list[Place]] = []
        ends: list[list[int]] = []
        for start in range(len(parts)):
            ids: list[int] = []
            bounds = []
            for part in parts[start:]:
                ids = ids + self.lm.encode(" " + part.strip())
                bounds.append(min(len(ids), LONGEST_QUESTION))
            ends.append(bounds)
            for head in heads:
                nodes.append(Node(ids[:LONGEST_QUESTION], head))
                wanted.append(nodes[-1].path())
        flat: list[list[float]] = []
        per_pass = max(1, A_PASS // max(len(node.ids) for node in nodes))
        for i in range(0, len(nodes), per_pass):
            flat += prefix.logprobs(nodes[i : i + per_pass], wanted[i : i + per_pass])
        found = []
        for start, bounds in enumerate(ends):
            rows = flat[start * len(heads) : (start + 1) * len(heads)]
            found.append([[sum(row[:bound]) for row in rows] for bound in bounds])
        return found

    def _heads(self, tools: Sequence[dict[str, Any]]) -> tuple[Prefix, list[Node]]:
        """The descriptions, read once for each set of tools."""
        prompts = [self.describe(tool) for tool in tools] + list(self.wording.neutral)
        key = json.dumps(prompts)
        if key not in self._read:
            while len(self._read) >= TOOL_SETS:
                self._read.pop(next(iter(self._read)))
            prefix = self.lm.read("<|im_start|>system\n" + self.wording.examples)
            heads = [Node(self.lm.encode(prompt)[-LONGEST_DESCRIPTION:]) for prompt in prompts]
            per_pass = A_PASS // LONGEST_DESCRIPTION
            for i in range(0, len(heads), per_pass):
                prefix.keep(heads[i : i + per_pass])
            self._read[key] = prefix, heads
        return self._read[key]


def shares_words(text: str, tool: dict[str, Any]) -> bool:
    """Whether a text has a word of the tool's name, description or parameters."""
    return _overlap(text, [tool])[0] > 0


def _overlap(text: str, tools: Sequence[dict[str, Any]]) -> list[float]:
    """Nats of the stems that a text shares with each tool, the rarer among the tools the more."""
    own = set(stems(text))
    bags = [bag(tool) for tool in tools]
    holders = {stem: sum(stem in each for each in bags) for stem in own}
    rarity = {stem: math.log((len(bags) + 1) / n) for stem, n in holders.items() if n}
    return [sum(weight for stem, weight in rarity.items() if stem in each) for each in bags]
