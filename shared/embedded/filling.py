"""One clause, one tool: how many calls does it ask for, and with which arguments?

    "Compare the weather in Rome and Vienna tomorrow"    two calls, and both are for tomorrow
    "the greatest common divisor of 12 and 18"           one call with both

A piece begins another call when it gives a value for what the call before has already; unless one call can
take all the values that the clause has.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from shared.embedded.arguments import Filled, fill
from shared.embedded.chooser import shares_words
from shared.embedded.clauses import is_item
from shared.embedded.fields import SHOTS, Form
from shared.embedded.likelihood import Likelihood, Prefix
from shared.embedded.options import enumerated
from shared.embedded.places import Places
from shared.embedded.said import Said, joined
from shared.embedded.slots import kind_of, slots
from shared.embedded.words import about

GIVEN = 1.5  # nats over "not given" from which a value counts as said


class Filler:
    """Fills in forms, behind the filled-in examples that the model has read once."""

    def __init__(self, lm: Likelihood) -> None:
        self.lm, self.places = lm, Places(lm)

    @cached_property
    def _examples(self) -> Prefix:
        return self.lm.read(SHOTS)

    def fill_all(
        self, tool: dict[str, Any], context: Said, own: Sequence[Said], starts: set[int], question: Said
    ) -> list[Filled]:
        """The arguments of each call of one tool that the pieces of a clause ask for.

        `starts` are the pieces at which the chooser would begin anew. A piece begins another call when it
        gives a value for what the call before has already: "Rome | and Vienna".
        """
        required = set(tool["input_schema"].get("required", []))
        takes_many = any(  # its values are listed: "A = 10, d = 0.01 and K = 1" is one call
            kind_of(each) == "array" or (kind_of(each) in ("integer", "number") and name in required)
            for name, each in tool["input_schema"].get("properties", {}).items()
        )
        groups: list[tuple[Said, Filled]] = []
        text, filled = context, Filled()
        for i, piece in enumerate(own):
            is_next = not takes_many and (i in starts or is_item([each.read for each in own], i))
            if groups and is_next:
                alone = self.fill(tool, piece, partial=True)
                before = groups[-1][1].arguments
                given = {name for name, margin in alone.margins.items() if margin > GIVEN}
                other = {name for name in given if name in before and before[name] != alone.arguments[name]}
                if given & required or other or (given and not required):
                    groups.append((piece, _inherit(alone, groups[-1][1], given)))
                    text = piece
                    continue
            text = text + piece
            filled = self.fill(tool, text, partial=bool(groups))
            if groups:
                given = {name for name, margin in filled.margins.items() if margin > GIVEN}
                groups[-1] = text, _inherit(filled, groups[-1][1], given)
            elif _is_complete(filled, required):
                groups.append((text, filled))
        if len(groups) > 1:
            whole = self.fill(tool, context + joined(own))
            if set().union(*(_values(filled) for _, filled in groups)) <= _values(whole):
                groups = [(context + joined(own), whole)]  # "12 and 18": two arguments of one call
        if not groups:
            asks = text.read.rstrip().endswith("?") or shares_words(text.mended, tool)
            if text != question and asks and not _is_complete(filled, required):
                filled = self.fill(tool, question)
            groups = [(text, filled)]
        expanded = [each for text, filled in groups for each in self._each_option(tool, text, filled)]
        return _share(expanded, required)

    def fill(self, tool: dict[str, Any], text: Said, partial: bool = False) -> Filled:
        """The arguments of one call; `partial` as in arguments.py."""
        return fill(self._form(text), tool["input_schema"], about(tool), partial)

    def _each_option(self, tool: dict[str, Any], text: Said, filled: Filled) -> list[Filled]:
        """A call for each option of an enumeration: "Saturday and Sunday weather"."""
        form = self._form(text)
        for slot in slots(tool["input_schema"], about(tool)):
            if slot.kind != "string" or slot.name not in filled.arguments or slot.is_source or slot.is_target:
                continue
            named = enumerated(form, slot)
            if len(named) > 1:
                rest = {name: value for name, value in filled.arguments.items() if name != slot.name}
                return [Filled({**rest, slot.name: option}, filled.margins) for option in named]
        return [filled]

    def _form(self, text: Said) -> Form:
        return Form(self.lm, self._examples, text.read, text.mended, text.original, self.places)


def _is_complete(filled: Filled, required: set[str]) -> bool:
    return all(filled.margins.get(name, 0.0) > GIVEN for name in required)


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


def _share(calls: list[Filled], required: set[str]) -> list[Filled]:
    """Optional arguments that stand at one of several calls hold for those before it that have none."""
    for call, after in zip(calls[-2::-1], calls[:0:-1], strict=True):
        for name, value in after.arguments.items():
            if name not in required and name not in call.arguments:
                call.put(name, value, after.margins[name])
    return calls
