"""What an agent did: its turns, its calls with their results, and how it ended."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """A tool call of the model, and its result."""

    tool: str  # the tool's own name, whatever the model saw
    shown: str  # the name that the model saw
    arguments: dict[str, Any]  # under the tool's own names
    result: str
    is_error: bool = False
    refused: bool = False  # by the user
    documents: tuple[str, ...] = ()  # whose sentences are in the result
    seconds: float = 0.0


@dataclass(frozen=True)
class Turn:
    """One turn of the model: what it read and wrote, and the calls that followed."""

    messages: list[dict[str, Any]]  # the conversation that it read, as the Messages API has it
    reply: list[dict[str, Any]]  # the blocks that it wrote
    calls: tuple[Call, ...]
    input_tokens: int
    output_tokens: int
    stop_reason: str
    seconds: float
    compacted: int = 0  # results that had been shortened to make room


@dataclass(frozen=True)
class Transcript:
    """A run of the agent on one request."""

    request: str
    model: str
    system: str
    tools: list[dict[str, Any]]  # as the Messages API has them
    answer: str
    stop_reason: str  # the model's, or max_turns
    turns: list[Turn] = field(default_factory=list)

    @property
    def calls(self) -> list[Call]:
        """All calls, in their order."""
        calls: list[Call] = []
        for turn in self.turns:
            calls += turn.calls
        return calls

    @property
    def tokens(self) -> int:
        """Tokens read and written in all turns."""
        return sum(turn.input_tokens + turn.output_tokens for turn in self.turns)


@dataclass(frozen=True)
class Check:
    """One condition of an outcome, and whether it holds."""

    about: str  # what is checked: `the answer has 90 days`
    passed: bool


@dataclass(frozen=True)
class Outcome:
    """What a run achieved, held against its task."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether all conditions hold."""
        return all(check.passed for check in self.checks)
