"""From the values of flags to the options of a search and a plan, and the chat model's client."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.config import Settings
from shared.errors import UserError
from step3_rag.pipeline import STRATEGIES, ChatError, Plan
from step3_rag.reflect.rewrite import STRATEGIES as ALL_STRATEGIES
from step3_rag.reflect.rewrite import WITH_CHAT
from step3_rag.retrieve.rerank import cross_encoder_scorer
from step3_rag.retrieve.search import Options
from step3_rag.service import Service

if TYPE_CHECKING:
    import anthropic

LONGEST = 2000  # characters of a question


def checked(question: str) -> str:
    """The question without white space around it.

    Raises:
        UserError: it is empty, or long like a document.
    """
    question = " ".join(question.encode("utf-8", "replace").decode().split())  # bytes that are no text: ?
    if not question:
        raise UserError("the question is empty: ask something, in quotation marks")
    if len(question) > LONGEST:
        raise UserError(
            f"the question has {len(question):,} characters, {LONGEST:,} at most: ask one thing at a time"
        )
    return question


def search_options(settings: Settings, rerank: str, use: str = "hybrid", **others: Any) -> Options:
    """The options of a search, with the scorer that `--rerank` names; `others` are fields of `Options`.

    Raises:
        UserError: no such reranker, or one that can't be loaded.
    """
    kinds = ("bm25", "dense") if use == "hybrid" else (use,)
    if rerank in ("maxsim", "none"):
        return Options(use=kinds, rerank=rerank, **others)  # type: ignore
    if not Path(rerank).is_dir() and not (settings.hub and "/" in rerank):
        raise UserError(
            f"--rerank {rerank} is not known: use maxsim, none, the folder of a cross-encoder, or (with the "
            "hub, ROADMAP_HUB=true) the name of one, like cross-encoder/ms-marco-MiniLM-L-6-v2"
        )
    return Options(use=kinds, rerank="scorer", scorer=cross_encoder_scorer(rerank, settings), **others)


def check_collections(service: Service, names: Sequence[str]) -> None:
    """Whether the index has these collections.

    Raises:
        UserError: it lacks one; names those that it has.
    """
    known = sorted(set(service.retriever.snapshot.collections))
    for name in names:
        if name not in known:
            raise UserError(f"--collection {name} is not in the index: it has {', '.join(known) or 'none'}")


def plan_of(
    settings: Settings, options: Options, reader: str, strategies: str | None, threshold: float
) -> Plan:
    """How to answer, from the flags.

    Raises:
        UserError: no such strategy.
    """
    names = STRATEGIES if strategies is None else strategies_of(strategies)
    chosen = default_reader(settings) if reader == "auto" else reader
    return Plan(options, names, threshold, reader=chosen)


def strategies_of(text: str) -> tuple[str, ...]:
    """The strategies of a flag, `spelling,meaning`; `none` stands for no strategy.

    Raises:
        UserError: one of them is not known.
    """
    names = [each.strip() for each in text.split(",") if each.strip()]
    for name in names:
        if name not in ALL_STRATEGIES and name != "none":
            raise UserError(f"--strategies {name} is not known: use none, {', '.join(ALL_STRATEGIES)}")
    return tuple(name for name in names if name != "none")


def default_reader(settings: Settings) -> str:
    """What measured best: a small model quotes, a large one writes."""
    from shared.catalog import default

    embedded = not settings.base_url and settings.model in (default("chat").id, default("smoke").id)
    return "quote" if embedded else "chat"


def needs_chat(plan: Plan) -> bool:
    """Whether a chat model takes part."""
    return plan.reader == "chat" or bool(set(plan.strategies) & set(WITH_CHAT))


def client_of(settings: Settings) -> anthropic.Anthropic:
    """The chat model's client.

    Raises:
        UserError: Claude without a key, or a model that can't chat.
    """
    from shared.chat.client import chat_client
    from shared.chat.errors import with_timeouts

    return with_timeouts(chat_client(settings=settings))


@contextlib.contextmanager
def one_line_errors(settings: Settings) -> Iterator[None]:
    """For commands that show nothing without the chat model: its failure ends them.

    Raises:
        UserError: names the model, what happened, and what can be done.
    """
    try:
        yield
    except ChatError as error:
        from shared.chat.errors import explain

        raise UserError(f"{settings.model}: {explain(error.cause, settings)}") from None
