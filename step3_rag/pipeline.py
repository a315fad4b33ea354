"""Ask: search, judge, search again if necessary, then answer from the passages or say "I don't know".

    $ python -m step3_rag ask "When do contracts renew automatically?"

Whether the passages can answer is decided before a model writes, because a model that gets the wrong passages
answers all the same, and sounds sure.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared import prompts
from step3_rag.answer import read
from step3_rag.answer.context import BUDGET, Source, assemble
from step3_rag.reflect import confidence
from step3_rag.reflect.confidence import Evidence, find_evidence
from step3_rag.reflect.loop import THRESHOLD, Reflection, reflect
from step3_rag.reflect.rewrite import OFFLINE, WITH_CHAT, Chat
from step3_rag.retrieve.search import Retriever, SearchOptions

if TYPE_CHECKING:
    import anthropic

DEFAULT_STRATEGIES = OFFLINE  # measured in chapter 10


@dataclass(frozen=True)
class Plan:
    """How to answer."""

    options: SearchOptions = field(default_factory=SearchOptions)
    strategies: tuple[str, ...] = DEFAULT_STRATEGIES
    threshold: float = THRESHOLD
    abstain: bool = True
    reader: str = "quote"  # or "write" or "chat"
    budget: int = BUDGET  # tokens of the passages
    prompt: prompts.Prompt | None = None  # of the chat reader; None: the latest for the model

    @property
    def needs_chat(self) -> bool:
        """Whether it uses a chat model."""
        return self.reader != "quote" or bool(set(self.strategies) & set(WITH_CHAT))


@dataclass(frozen=True)
class Outcome:
    """An answer with everything that led to it; `seconds` by part."""

    reflection: Reflection
    sources: list[Source]
    answer: read.Answer
    seconds: dict[str, float]
    rewriting: list[anthropic.types.Usage] = field(default_factory=list)  # of the chat model, by rewrite

    @property
    def confidence(self) -> float:
        return self.reflection.best.confidence


class ChatError(Exception):
    """The chat model failed after the search; `sources` has what was found."""

    def __init__(self, cause: Exception, reflection: Reflection, sources: list[Source]) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.reflection = reflection
        self.sources = sources


def ask(
    retriever: Retriever,
    question: str,
    plan: Plan,
    client: anthropic.Anthropic | None = None,
    model: str = "",
    write: Callable[[str], None] = lambda _text: None,
    on_search: Callable[[Reflection, list[Source]], None] = lambda _reflection, _sources: None,
) -> Outcome:
    """Answer one question; `on_search` gets the search's result, then `write` the answer's text as it comes.

    Raises:
        ChatError: the chat model can't be reached, or refused.
    """
    import anthropic
    import httpx2

    chat_errors = (anthropic.AnthropicError, httpx2.TransportError)
    began = time.perf_counter()
    usages: list[anthropic.types.Usage] = []
    chat = chat_function(client, model, usages) if client else None
    try:
        reflection = reflect(retriever, question, plan.options, plan.strategies, plan.threshold, chat)
    except chat_errors as error:
        offline = tuple(name for name in plan.strategies if name in OFFLINE)
        reflection = reflect(retriever, question, plan.options, offline, plan.threshold)
        raise ChatError(error, reflection, _sources(retriever, reflection, plan)) from None
    searched = time.perf_counter()
    sources = _sources(retriever, reflection, plan)
    on_search(reflection, sources)
    if (plan.abstain and reflection.verdict == "abstain") or not sources:
        write(read.UNKNOWN)
        answer = read.Answer(read.UNKNOWN)
    elif plan.reader == "chat" and client:
        try:
            answer = read.chat(client, model, question, sources, write, plan.prompt)
        except chat_errors as error:
            raise ChatError(error, reflection, sources) from None
    else:
        evidence = chosen_evidence(retriever, reflection, plan.threshold)
        try:
            if plan.reader == "write" and client:
                answer = read.write(client, model, question, evidence, sources)
            else:
                answer = read.quote(evidence, sources)
        except chat_errors as error:
            raise ChatError(error, reflection, sources) from None
        write(answer.text)
    seconds = {"search": searched - began, "answer": time.perf_counter() - searched}
    return Outcome(reflection, sources, answer, seconds, usages)


def chosen_evidence(retriever: Retriever, reflection: Reflection, threshold: float) -> list[Evidence]:
    """What the answer is made of: the best evidence, and that of the question's other parts if it is good."""
    best = reflection.best
    evidence = find_evidence(best.found, retriever, best.asked)
    first = max(evidence, key=lambda one: one.score, default=None)
    calibration = confidence.load()
    chosen = []
    for one in evidence:
        if one is first or calibration.probability(one.score) >= threshold:
            chosen.append(one)
    return chosen


def _sources(retriever: Retriever, reflection: Reflection, plan: Plan) -> list[Source]:
    """The passages found, as numbered sources within the budget."""
    return assemble(reflection.best.found.best, retriever.embedder.count_tokens, plan.budget)


def chat_function(client: anthropic.Anthropic, model: str, usages: list[anthropic.types.Usage]) -> Chat:
    """The chat model as a function, for the strategies that use it; each call is added to `usages`."""

    def chat(prompt: prompts.Prompt, text: str) -> str:
        rendered: Any = prompts.render(prompt)
        message = client.messages.create(
            model=model,
            max_tokens=80,
            system=rendered["system"],
            messages=[*rendered["messages"], {"role": "user", "content": text}],
        )
        usages.append(message.usage)
        return "".join(block.text for block in message.content if block.type == "text").strip()

    return chat
