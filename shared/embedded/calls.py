"""From a question to tool calls: which tools (chooser.py), with which arguments (arguments.py), how often.

    >>> caller.calls("Compare the weather in Rome and Vienna tomorrow", tools)
    [ToolCall(name='get_weather', input={'city': 'Rome', 'day': 'tomorrow'}),
     ToolCall(name='get_weather', input={'city': 'Vienna', 'day': 'tomorrow'})]

A 135M model can't write such calls, whatever the prompt (0 of 30 were valid). It can say how probable a text
is, and that is all it is asked here: every name and value is taken from the tools and from the question
(but for the state or country of a city: places.py).
This runs the loop of a lesson where there is no key; how well a real model calls tools it can't tell.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shared.embedded import orders
from shared.embedded.arguments import Filled
from shared.embedded.chooser import Chooser, Clause, Wording
from shared.embedded.clauses import begins_item
from shared.embedded.filling import GIVEN, Filler
from shared.embedded.forced import completed, fitting
from shared.embedded.likelihood import Likelihood, Prefix
from shared.embedded.meaning import Meaning
from shared.embedded.quantities import quantities
from shared.embedded.said import Said, joined, read

LONGEST, MOST_TOKENS = 2000, 500  # characters and tokens of a question that count
DOUBT = 6.0  # nats of a tool's margin that each nat of a missing argument takes away
KNOWLEDGE = 40.0  # nats that a question for an explanation does
SURE = 1.0  # nats that each nat of a sure argument adds; half of it for an optional one
DEEPEST, SUREST = -10.0, 6.0  # nats of an argument that count
SECOND = 6.0  # nats that a tool behind an "and" must have
BEYOND = 1000.0  # against what a tool can't do
CLEAR = 30.0  # nats from which a tool is meant though arguments are missing
NEVER = -1e6  # a required argument is nowhere in the question
NEAR, MOST_NEAR = 8.0, 3  # tools that are so near to the best one are tried, too
FOLLOWS = re.compile(r"\W*(?:and|but|or|also|then|what about|how about|same|in|for|on)\b", re.I)


@dataclass(frozen=True)
class ToolCall:
    """One call as a `tool_use` block has it."""

    name: str
    input: dict[str, Any]


class Caller:
    """Holds the model and what it has read; one question at a time, from any thread."""

    def __init__(
        self, lm: Likelihood, meaning: Meaning | None = None, wording: Wording | None = None
    ) -> None:
        self.lm, self.filler, self.chooser = lm, Filler(lm), Chooser(lm, meaning, wording)
        self._lock = threading.RLock()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """What is stopped in the middle (Ctrl-C) leaves half-written caches behind: read all of it anew."""
        try:
            yield
        except BaseException:
            self.__dict__.pop("_plain", None)
            self.filler, self.chooser = Filler(self.lm), self.chooser.anew()
            raise

    @cached_property
    def _plain(self) -> Prefix:
        return self.lm.read("Text:")

    def calls(
        self,
        question: str,
        tools: Sequence[dict[str, Any]],
        choice: dict[str, Any] | None = None,
        earlier: Sequence[tuple[str, list[ToolCall]]] = (),
    ) -> list[ToolCall]:
        """The calls that the question asks for, none if no tool fits.

        `choice` is the request's `tool_choice`; `earlier`: questions before this one with their calls.
        """
        choice = choice or {"type": "auto"}
        forced = choice["type"] in ("any", "tool")
        tools = [tool for tool in tools if choice["type"] != "tool" or tool["name"] == choice["name"]]
        if choice["type"] == "none" or not tools or not question.strip():
            return []
        with self._lock, self._whole():
            question = self._shortened(question.strip())
            found = [] if forced else self._follow_up(question, tools, earlier)
            found = found or self._calls(question, tools, forced)
        schemas = {tool["name"]: tool["input_schema"] for tool in tools}
        # What doesn't fit its schema goes; what must be there then stays empty, and the tool can say so.
        fits = [fitting(each.input, schemas[each.name]) for each in found]
        found = [
            ToolCall(each.name, completed(arguments, schemas[each.name]))
            for each, arguments in zip(found, fits, strict=True)
        ]
        return found[:1] if choice.get("disable_parallel_tool_use") else found

    def _shortened(self, question: str) -> str:
        """Its beginning, where it is too long to be weighed word by word."""
        question = question[:LONGEST]
        while len(ids := self.lm.encode(question)) > MOST_TOKENS:
            question = question[: len(question) * MOST_TOKENS // (len(ids) + 1)]
        return question

    def _follow_up(
        self, question: str, tools: Sequence[dict[str, Any]], earlier: Sequence[tuple[str, list[ToolCall]]]
    ) -> list[ToolCall]:
        """ "And tomorrow?" and "what about Oslo?" are the last calls with another day or city."""
        last = next((calls for _, calls in reversed(earlier) if calls), [])
        tool = next((tool for tool in tools if last and tool["name"] == last[-1].name), None)
        if tool is None or not FOLLOWS.match(question) or orders.is_of_knowledge(question):
            return []
        said = joined(read(self.lm, self._plain, question, tools))
        best = max(self.chooser.clauses(said.mended, tools), key=lambda clause: max(clause.margins))
        k = best.best
        other = best.margins[k] > 0 and tools[k] is not tool  # "and what time is it there?"
        tool = tools[k] if other else tool
        filled = self.filler.fill(tool, said, partial=True)
        given = {name: filled.arguments[name] for name, margin in filled.margins.items() if margin > GIVEN}
        known = tool["input_schema"].get("properties", {})
        before = [{name: value for name, value in call.input.items() if name in known} for call in last]
        if not (given or other):
            return []
        before = [each for call, each in zip(last, before, strict=True) if other or call.name == tool["name"]]
        if given.keys() & set(tool["input_schema"].get("required", [])):
            before = before[-1:]
        calls = [ToolCall(tool["name"], {**each, **given}) for each in before]
        return [call for i, call in enumerate(calls) if call not in calls[:i]]

    def _calls(self, question: str, tools: Sequence[dict[str, Any]], forced: bool) -> list[ToolCall]:
        said = read(self.lm, self._plain, question, tools)
        clauses = self.chooser.clauses("".join(each.mended for each in said), tools, forced)
        if sum(len(clause.pieces) for clause in clauses) != len(said):  # mending has made or unmade a joint
            said = [Said(each, each, each) for clause in clauses for each in clause.pieces]
        whole, place = joined(said), 0
        found: list[ToolCall] = []
        context: list[Said] = []
        carried: list[Said] = []
        for clause, starts in _together(clauses):
            own = said[place : place + len(clause.pieces)]
            place += len(own)
            if clause.tool is None:
                context += own
                continue
            own, carried = carried + own, []
            starts = {each + len(own) - len(clause.pieces) for each in starts}
            if found and _claims(found, joined(own).read):
                continue
            bar = SECOND if found and begins_item(clause.pieces[0]) and not forced else 0.0
            calls = self._best(clause, tools, joined(context), own, starts, whole, forced, bar)
            carried = [] if calls else own  # its tool finds nothing there: perhaps the next one does
            for call in calls:
                required = next(
                    set(t["input_schema"].get("required", [])) for t in tools if t["name"] == call.name
                )
                found += [] if _amends(call, found, required) else [call]
            context = []
        if not found and forced:
            clause = max(clauses, key=lambda clause: max(clause.margins))
            tool = tools[clause.best]
            found = [ToolCall(tool["name"], self.filler.fill(tool, whole).arguments)]
        elif not found:
            found = self._rescue(max(clauses, key=lambda clause: max(clause.margins)), tools, whole)
        return found

    def _rescue(self, clause: Clause, tools: Sequence[dict[str, Any]], whole: Said) -> list[ToolCall]:
        """The nearest tool all the same: the question is clearly its own, or many arguments fit it well."""
        k = clause.best
        tool, margin, text = tools[k], clause.margins[k], whole.mended
        required = tool["input_schema"].get("required", [])
        beyond = orders.is_beyond(text, tool) or orders.is_of_knowledge(text, tool)
        if beyond or margin < -NEAR or (margin < CLEAR and len(required) < 2):
            return []
        filled = self.filler.fill(tool, whole)
        sure = all(_sure(filled.margins.get(name, 0.0)) == SUREST for name in required)
        fits = sure and self._score(text, margin, tool, filled) > 0
        return [ToolCall(tool["name"], filled.arguments)] if fits or margin > CLEAR else []

    def _best(
        self,
        clause: Clause,
        tools: Sequence[dict[str, Any]],
        context: Said,
        own: Sequence[Said],
        starts: set[int],
        question: Said,
        forced: bool,
        bar: float,
    ) -> list[ToolCall]:
        """The calls of the clause's tool, or of one that is nearly as probable and finds what it needs."""
        top = max(clause.margins)
        near = [k for k, margin in enumerate(clause.margins) if margin > top - NEAR]
        options = []
        for k in sorted(near, key=lambda k: -clause.margins[k])[:MOST_NEAR]:
            calls = self.filler.fill_all(tools[k], context, own, starts, question)
            scores = [self._score(clause.text, clause.margins[k], tools[k], filled) for filled in calls]
            kept = [
                ToolCall(tools[k]["name"], filled.arguments)
                for filled, score in zip(calls, scores, strict=True)
                if score > bar or (forced and score > NEVER)
            ]
            options.append((max(scores), kept))
        return max(options, key=lambda option: option[0])[1]

    def _score(self, text: str, margin: float, tool: dict[str, Any], filled: Filled) -> float:
        """Nats by which the tool is meant: its margin, less for missing arguments, more for sure ones."""
        required = tool["input_schema"].get("required", [])
        if any(name not in filled.arguments for name in required):
            return NEVER
        margins = [filled.margins[name] for name in required]
        lacking = sum(max(DEEPEST, min(0.0, each - GIVEN)) for each in margins)
        optional = [each for name, each in filled.margins.items() if name not in required]
        more = 0.0 if lacking else sum(map(_sure, optional)) / 2
        sure = sum(map(_sure, margins)) + more
        score = margin + DOUBT * lacking + SURE * sure
        if orders.is_beyond(text, tool):
            score -= BEYOND
        return score - KNOWLEDGE * orders.is_of_knowledge(text, tool)


def _claims(calls: list[ToolCall], text: str) -> bool:
    """Whether numbers that stand there are in the calls already: "a speed of 20 | and a time of 5"."""
    values = [value for call in calls for value in call.input.values()]
    known = {value for value in values if isinstance(value, int | float) and not isinstance(value, bool)}
    return any(each.value in known for each in quantities(text))


def _sure(margin: float) -> float:
    return min(SUREST, max(0.0, margin))


def _amends(call: ToolCall, found: list[ToolCall], required: set[str]) -> bool:
    """Whether the call only adds to those before it, which then have it: "In Fahrenheit, please." """
    same = [each for each in found if each.name == call.name]
    extra = {name: value for name, value in call.input.items() if name not in required}
    for each in same:
        is_same = all(each.input.get(name) == call.input.get(name) for name in required)
        if is_same and all(each.input.get(name, value) == value for name, value in extra.items()):
            for other in same:
                other.input.update({name: value for name, value in extra.items() if name not in other.input})
            return True
    return False


def _together(clauses: Sequence[Clause]) -> list[tuple[Clause, set[int]]]:
    """Neighbours that belong to one tool as one clause, and at which of its pieces the later ones began.

    Those with the same tool do, and those without a tool that an "and" joins: "Track A1 | and B2".
    """
    found: list[tuple[Clause, set[int]]] = []
    for clause in clauses:
        before, starts = found[-1] if found else (Clause((), None, ()), set())
        # A tool that is as probable there goes on: "a speed of 20 m/s | and then an acceleration of 10".
        goes_on = before.tool is not None and clause.tool is not None and begins_item(clause.pieces[0])
        if goes_on and clause.margins[before.tool or 0] > max(clause.margins) - NEAR:
            clause = Clause(clause.pieces, before.tool, clause.margins)
        same = clause.tool == before.tool
        joined = begins_item(clause.pieces[0]) and None in (clause.tool, before.tool)
        if found and ((same and clause.tool is not None) or (joined and not same)):
            tool = before.tool if clause.tool is None else clause.tool
            margins = tuple(map(max, before.margins, clause.margins))
            begun = starts | ({len(before.pieces)} if same else set())
            found[-1] = Clause(before.pieces + clause.pieces, tool, margins), begun
        else:
            found.append((clause, set()))
    return found
