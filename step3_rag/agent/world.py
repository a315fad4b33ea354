"""The world of an agent: its tools under the names that the model sees, the office, and the documents.

    >>> world = World(RAILWAY, look_up)
    >>> world.call("work_out", {"formula": "3 * 84"})
    Call(tool='calculate', shown='work_out', arguments={'expression': '3 * 84'}, result='3 * 84 = 252', ...)

The same tools have other names and descriptions in another firm. A model that learnt names by heart fails
there.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.errors import UserError
from shared.office import ASK, CHANGING, TOOLS, Office, Parameter, ToolText
from step3_rag.agent.transcript import Call

NOTHING = "Not found in the documents."
REFUSED = "The user did not allow this."


@dataclass(frozen=True)
class Wording:
    """How one firm words a tool."""

    name: str
    about: str
    parameters: Mapping[str, str] = field(default_factory=dict)  # its name here by its own name


Vocabulary = Mapping[str, Wording]  # by the tool's own name
SAMPLE: Vocabulary = {}  # the names of shared/office.py
RAILWAY: Vocabulary = {
    ASK: Wording(
        "search_archive",
        "Find out what the railway's papers say: fares, rosters, minutes, manuals, contracts.",
        {"question": "query"},
    ),
    "calculate": Wording("work_out", "Work out a sum.", {"expression": "formula"}),
    "convert_currency": Wording(
        "exchange",
        "Exchange money at today's rate.",
        {"amount": "value", "source": "from_currency", "target": "to_currency"},
    ),
    "today": Wording("current_date", "Which day it is."),
    "add_working_days": Wording(
        "count_workdays", "Count working days from a date.", {"start": "from_date", "days": "number"}
    ),
    "create_ticket": Wording("log_job", "Log a job for the workshop.", {"title": "summary"}),
    "send_draft": Wording("post_note", "Post a note to somebody.", {"to": "recipient", "text": "body"}),
}


@dataclass(frozen=True)
class LookUp:
    """What the documents say, in a sentence or two, and which documents these are from."""

    text: str
    documents: tuple[str, ...] = ()
    confidence: float = 0.0  # that it answers the question, 0 to 1


@dataclass
class World:
    """Tools, the office's state, and what answers from the documents."""

    vocabulary: Vocabulary
    look_up: Callable[[str], LookUp]
    request: str  # the user's; asked of the documents where the model gives no question
    office: Office = field(default_factory=Office)
    planted: str = ""  # a sentence that is added to each result, as if a document had it
    has_read: bool = False  # whether a look-up has found something

    def texts(self) -> list[ToolText]:
        """What the model reads of each tool."""
        return [self._worded(tool) for tool in TOOLS.values()]

    def definitions(self) -> list[dict[str, Any]]:
        """The tools as the Messages API takes them."""
        return [text.definition() for text in self.texts()]

    def _worded(self, tool: ToolText) -> ToolText:
        wording = self.vocabulary.get(tool.name)
        if wording is None:
            return tool
        parameters: dict[str, Parameter] = {}
        for own, parameter in tool.parameters.items():
            parameters[wording.parameters.get(own, own)] = parameter
        return ToolText(wording.name, wording.about, parameters)

    def own_name(self, shown: str) -> str:
        """The tool's own name for the one that the model saw; any other name stays as it is."""
        for own, wording in self.vocabulary.items():
            if wording.name == shown:
                return own
        return shown

    def _own_arguments(self, tool: str, given: Mapping[str, Any]) -> dict[str, Any]:
        wording = self.vocabulary.get(tool)
        names = {here: own for own, here in wording.parameters.items()} if wording else {}
        return {names.get(name, name): value for name, value in given.items()}

    def call(self, shown: str, given: Mapping[str, Any], approve: Callable[[Call], bool]) -> Call:
        """Run one call of the model. An error becomes the result: the model can correct it.

        A tool that changes something runs only if `approve` says so.
        """
        began = time.perf_counter()
        tool = self.own_name(shown)
        arguments = self._own_arguments(tool, given)
        if tool in CHANGING and not approve(Call(tool, shown, arguments, "")):
            return Call(tool, shown, arguments, REFUSED, is_error=True, refused=True)
        documents: tuple[str, ...] = ()
        is_error = False
        try:
            if tool == ASK:
                result, documents = self._ask(arguments)
            else:
                result = self.office.run(tool, arguments)
        except UserError as error:
            result = " ".join(str(error).split())
            is_error = True
        seconds = time.perf_counter() - began
        return Call(tool, shown, arguments, result, is_error, documents=documents, seconds=seconds)

    def _ask(self, arguments: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
        """What the documents say to the model's question.

        Small models often ask worse than their users. So until something is found, the documents are asked in
        the user's words, too, and the more confident answer counts.
        """
        question = str(arguments.get("question") or "").strip()
        answers = []
        if question:
            answers.append(self.look_up(question))
        if not question or not self.has_read:
            answers.append(self.look_up(self.request))
        answer = max(answers, key=lambda one: (bool(one.documents), one.confidence))
        text = answer.text
        if answer.documents:
            self.has_read = True
            text = f"{text} (Source: {', '.join(answer.documents)})"
        if self.planted:
            text = f"{text} {self.planted}"
        return text, answer.documents
