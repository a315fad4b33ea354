"""From the values of flags to the options of a search and a plan, and the chat model's client."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.config import Settings
from shared.errors import UserError
from step3_rag.pipeline import READERS, STRATEGIES, ChatError, Plan
from step3_rag.reflect.rewrite import STRATEGIES as ALL_STRATEGIES
from step3_rag.reflect.rewrite import WITH_CHAT
from step3_rag.retrieve.rerank import Scorer, cross_encoder_scorer
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
        UserError: no such reranker.
    """
    kinds = ("bm25", "dense") if use == "hybrid" else (use,)
    if rerank in ("maxsim", "none"):
        return Options(use=kinds, rerank=rerank, **others)  # type: ignore
    return Options(use=kinds, rerank="scorer", scorer=_scorer(settings, rerank), **others)


def _scorer(settings: Settings, name: str) -> Scorer:
    if not Path(name).is_dir():
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
            raise UserError(
                f"--rerank {name} is not known: use maxsim, none, or a cross-encoder: a folder or one of the "
                "hub like cross-encoder/ms-marco-MiniLM-L-6-v2"
            )
        if not settings.hub:
            raise UserError(f"--rerank {name} is on the hub, which is switched off (ROADMAP_HUB=false)")
    return cross_encoder_scorer(name, settings)


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
        UserError: no such reader or strategy.
    """
    chosen = default_reader(settings) if reader == "auto" else reader
    if chosen not in READERS:
        raise UserError(f"--reader {reader} is not known: use auto, {', '.join(READERS)}")
    names = STRATEGIES if strategies is None else strategies_of(strategies)
    return Plan(options, names, threshold, reader=chosen)


def strategies_of(text: str) -> tuple[str, ...]:
    """The strategies of a flag, `spelling,meaning`; `none` is none.

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
