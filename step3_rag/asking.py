"""`ask` and `search` as commands: from what was typed to the facts that are shown."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.config import Settings
from shared.errors import UserError
from step3_rag import screen
from step3_rag.answer import READERS, STRATEGIES, ChatError, Plan, ask
from step3_rag.confidence import confidence
from step3_rag.rewrite import STRATEGIES as ALL_STRATEGIES
from step3_rag.rewrite import WITH_CHAT
from step3_rag.search import Options
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


def options_of(
    service: Service,
    k: int,
    fusion: str,
    rerank: str,
    use: str,
    collections: Sequence[str],
) -> tuple[Options, Any]:
    """The options of a search, and the scorer for `--rerank` where it names one.

    Raises:
        UserError: a value that is not allowed, or a collection that the index doesn't have.
    """
    from step3_rag.rerank import cross_encoder_scorer, likelihood_scorer

    if k < 1:
        raise UserError(f"--k {k} is not allowed: use a number from 1")
    if fusion not in ("minmax", "rrf"):
        raise UserError(f"--fusion {fusion} is not known: use minmax or rrf")
    kinds = {"hybrid": ("bm25", "dense"), "bm25": ("bm25",), "dense": ("dense",)}
    if use not in kinds:
        raise UserError(f"--use {use} is not known: use {', '.join(kinds)}")
    known = sorted(set(service.retriever.snapshot.collections))
    for name in collections:
        if name not in known:
            raise UserError(f"--collection {name} is not in the index: it has {', '.join(known) or 'none'}")
    options = Options(k=k, use=kinds[use], collections=tuple(collections))
    options = dataclasses.replace(options, fusion=fusion)
    if rerank in ("maxsim", "none"):
        return dataclasses.replace(options, rerank=rerank), None
    if rerank != "likelihood" and not Path(rerank).is_dir():
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", rerank):
            raise UserError(
                f"--rerank {rerank} is not known: use maxsim, none, likelihood, or a cross-encoder: a folder "
                "or one of the hub like cross-encoder/ms-marco-MiniLM-L-6-v2"
            )
        if not service.settings.hub:
            raise UserError(f"--rerank {rerank} is on the hub, which is switched off (ROADMAP_HUB=false)")
    scorer = (
        likelihood_scorer(service.settings)
        if rerank == "likelihood"
        else cross_encoder_scorer(rerank, service.settings)
    )
    return dataclasses.replace(options, rerank="scorer"), scorer


def plan_of(
    settings: Settings, options: Options, reader: str, strategies: str | None, threshold: float, budget: int
) -> Plan:
    """How to answer, from the flags.

    Raises:
        UserError: a value that is not allowed.
    """
    chosen = reader if reader != "auto" else default_reader(settings)
    if chosen not in READERS:
        raise UserError(f"--reader {reader} is not known: use auto, {', '.join(READERS)}")
    if not 0 <= threshold <= 1:
        raise UserError(f"--threshold {threshold:g} is no probability: use 0 (always answer) to 1")
    if budget < 1:
        raise UserError(f"--budget {budget} leaves no room for a source: use a number of tokens from 1")
    names = STRATEGIES if strategies is None else strategies_of(strategies)
    return Plan(options, names, threshold, threshold > 0, chosen, budget)


def with_options(plan: Plan, options: Options) -> Plan:
    """The plan with a search of its own."""
    return dataclasses.replace(plan, options=options)


def strategies_of(text: str) -> tuple[str, ...]:
    """The strategies of a flag, `spelling,deeper`; `none` is none.

    Raises:
        UserError: one of them is not known.
    """
    names = [each.strip() for each in text.split(",") if each.strip()]
    for name in names:
        if name not in ALL_STRATEGIES and name != "none":
            raise UserError(f"--strategies {name} is not known: use none, {', '.join(ALL_STRATEGIES)}")
    return tuple(name for name in names if name != "none")


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


def default_reader(settings: Settings) -> str:
    """What measured best: a small model quotes, a large one writes."""
    from shared.catalog import default

    embedded = not settings.base_url and settings.model in (default("chat").id, default("smoke").id)
    return "quote" if embedded else "chat"


def needs_chat(plan: Plan) -> bool:
    """Whether a chat model takes part."""
    return plan.reader == "chat" or bool(set(plan.strategies) & set(WITH_CHAT))


def run(
    service: Service,
    question: str,
    plan: Plan,
    client: anthropic.Anthropic | None,
    write: Callable[[str], None],
) -> dict[str, Any]:
    """Ask; the facts of the answer."""
    model = service.settings.model
    try:
        outcome = ask(service.retriever, question, plan, client, model, write)
    except ChatError as error:
        from shared.chat.errors import explain

        return screen.failed_facts(question, error, f"{model}: {explain(error.cause, service.settings)}")
    return screen.answer_facts(outcome, plan.reader, model if client else None)


def search(service: Service, question: str, options: Options, route: bool) -> dict[str, Any]:
    """Search only; the facts of the results.

    Raises:
        UserError: collections are named and the router is to choose them, too.
    """
    retriever = service.retriever
    if route:
        if options.collections:
            raise UserError("--route chooses the collections itself: leave out --collection")
        from step3_rag import route as router

        where = router.Router.of(retriever, seed=service.settings.seed)
        encoded = retriever.embedder.encode([question])[0]
        found, routed = router.search(retriever, where, question, options, encoded)
    else:
        found, routed = retriever.search(question, options), None
    return screen.search_facts(found, routed, confidence(found))
