"""From a question to tool calls: which tools (chooser.py), with which arguments (arguments.py), how often.

    >>> caller.calls("Compare the weather in Rome and Vienna tomorrow", tools)
    [ToolCall(name='get_weather', input={'city': 'Rome', 'day': 'tomorrow'}),
     ToolCall(name='get_weather', input={'city': 'Vienna', 'day': 'tomorrow'})]

A 135M model can't write such calls, whatever the prompt (0 of 30 were valid). It can say how probable a text
is, and that is all it is asked here: every name and value is taken from the tools and from the question.
This runs the loop of a lesson where there is no key; how well a real model calls tools it can't tell.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shared.local import orders
from shared.local.arguments import Filled, fill
from shared.local.chooser import Chooser, Clause, Wording
from shared.local.clauses import is_item, pieces, without_joint
from shared.local.fields import SHOTS, Form
from shared.local.likelihood import Likelihood, Prefix
from shared.local.meaning import Meaning
from shared.local.spelling import mend
from shared.local.truecase import has_names, truecase
from shared.local.words import as_words, plain_words

LONGEST = 2000  # characters of a question that count
GIVEN = 1.0  # nats over "not given" from which a value counts as said
DOUBT = 3.0  # nats of a tool's margin that each nat of a missing argument takes away
KNOWLEDGE = 20.0  # nats that a question for an explanation does
DEEPEST = -10.0


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
        self.lm, self.chooser = lm, Chooser(lm, meaning, wording)
        self._lock = threading.RLock()

    @cached_property
    def _examples(self) -> Prefix:
        return self.lm.read(SHOTS)

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
        with self._lock:
            found = self._calls(question[:LONGEST].strip(), tools, forced)
        return found[:1] if choice.get("disable_parallel_tool_use") else found

    def _calls(self, question: str, tools: Sequence[dict[str, Any]], forced: bool) -> list[ToolCall]:
        vocabulary = _vocabulary(tools)
        mended = mend(question, vocabulary, lambda word: len(self.lm.encode(f" {word}")) == 1)
        if not has_names(question):
            question = truecase(self.lm, self._plain, question, vocabulary)
        clauses = self.chooser.clauses(mended, tools, forced)
        said = pieces(question)
        if len(said) != sum(len(clause.pieces) for clause in clauses):  # mending has made or unmade a joint
            said = pieces(mended)
        found: list[ToolCall] = []
        context: list[str] = []
        for clause, starts in _same_tool_together(clauses):
            own, said = said[: len(clause.pieces)], said[len(clause.pieces) :]
            if clause.tool is None:
                context += own
                continue
            tool = tools[clause.tool]
            for filled in self._fill_all(tool, "".join(context), own, clause.pieces, starts, question):
                if forced or self._is_asked(clause, tool, filled):
                    call = ToolCall(tool["name"], filled.arguments)
                    found += [] if call in found else [call]
            context = []
        return found

    def _is_asked(self, clause: Clause, tool: dict[str, Any], filled: Filled) -> bool:
        """Whether the tool is meant: what is missing of its arguments speaks against it."""
        required = tool["input_schema"].get("required", [])
        if any(name not in filled.arguments for name in required) or orders.is_beyond(clause.text, tool):
            return False
        lacking = sum(max(DEEPEST, min(0.0, filled.margins[name] - GIVEN)) for name in required)
        doubt = DOUBT * -lacking + KNOWLEDGE * orders.is_of_knowledge(clause.text)
        return clause.margins[clause.tool or 0] > doubt

    def _fill_all(
        self,
        tool: dict[str, Any],
        context: str,
        said: Sequence[str],
        mended: Sequence[str],
        starts: set[int],
        question: str,
    ) -> list[Filled]:
        """The arguments of each call of one tool that the pieces of a clause ask for.

        `starts` are the pieces at which the chooser would begin anew.
        """
        groups: list[tuple[str, str, Filled]] = []  # text, mended text, what it gives
        required = tool["input_schema"].get("required", [])
        text, fixed = context, context
        text_of_all, fixed_of_all = context + "".join(said), context + "".join(mended)
        for i, (piece, its_fixed) in enumerate(zip(said, mended, strict=True)):
            joined, joined_fixed = text + piece, fixed + its_fixed
            if groups and (i in starts or is_item(said, i)):
                alone = self._fill(tool, without_joint(piece), without_joint(its_fixed), partial=True)
                given = {name for name, margin in alone.margins.items() if margin > GIVEN}
                before = groups[-1][2].arguments
                others = {name for name in given if name in before and before[name] != alone.arguments[name]}
                if given & set(required) or others or (given and not required):
                    groups.append((piece, its_fixed, _inherit(alone, groups[-1][2], given)))
                    text, fixed = piece, its_fixed
                    continue
            filled = self._fill(tool, joined, joined_fixed)
            is_complete = all(filled.margins.get(name, DEEPEST) > GIVEN for name in required)
            if groups:
                groups[-1] = (joined, joined_fixed, filled)
            elif is_complete:
                groups.append((joined, joined_fixed, filled))
            text, fixed = joined, joined_fixed
        if len(groups) > 1:
            whole = self._fill(tool, text_of_all, fixed_of_all)
            if set().union(*(_values(filled) for *_, filled in groups)) <= _values(whole):
                return [whole]  # "12 and 18": two arguments of one call
        if not groups:
            filled = self._fill(tool, text, fixed)
            if any(filled.margins.get(name, DEEPEST) <= GIVEN for name in required) and text != question:
                filled = self._fill(tool, question, question)
            return [filled]
        return _share([filled for *_, filled in groups], tool)

    def _fill(self, tool: dict[str, Any], text: str, fixed: str, partial: bool = False) -> Filled:
        about = f"{as_words(tool['name'])} {tool.get('description') or ''}"
        return fill(Form(self.lm, self._examples, text, fixed), tool["input_schema"], about, partial)


def _same_tool_together(clauses: Sequence[Clause]) -> list[tuple[Clause, set[int]]]:
    """Neighbours with the same tool as one clause, and at which of its pieces the later ones began."""
    found: list[tuple[Clause, set[int]]] = []
    for clause in clauses:
        if found and clause.tool is not None and found[-1][0].tool == clause.tool:
            before, starts = found[-1]
            margins = tuple(map(max, before.margins, clause.margins))
            joined = Clause(before.pieces + clause.pieces, clause.tool, margins)
            found[-1] = joined, starts | {len(before.pieces)}
        else:
            found.append((clause, set()))
    return found


def _values(filled: Filled) -> set[str]:
    """Every value that the arguments hold, those in lists one by one."""
    values = [
        each
        for value in filled.arguments.values()
        for each in (value if isinstance(value, list) else [value])
    ]
    return {str(value) for value in values}


def _inherit(new: Filled, before: Filled, given: set[str]) -> Filled:
    """What a piece gives, and for the rest what the call before had."""
    arguments = {**before.arguments, **{name: new.arguments[name] for name in given}}
    return Filled(arguments, {**before.margins, **{name: new.margins[name] for name in given}})


def _share(calls: list[Filled], tool: dict[str, Any]) -> list[Filled]:
    """Optional arguments that stand at one of several calls hold for those before it that have none."""
    required = tool["input_schema"].get("required", [])
    for call, after in zip(calls[-2::-1], calls[:0:-1], strict=True):
        for name, value in after.arguments.items():
            if name not in required and name not in call.arguments:
                call.put(name, value, after.margins[name])
    return calls


def _vocabulary(tools: Sequence[dict[str, Any]]) -> set[str]:
    """The words of the tools' names and descriptions, and of their options."""
    found: set[str] = set()
    for tool in tools:
        found.update(plain_words(f"{as_words(tool['name'])} {tool.get('description') or ''}"))
        for name, field in tool["input_schema"].get("properties", {}).items():
            options = " ".join(map(str, field.get("enum") or []))
            found.update(plain_words(f"{as_words(name)} {field.get('description') or ''} {options}"))
    return found
