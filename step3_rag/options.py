"""What a user may set, checked: from the values of flags to the options of a search and a plan."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.config import Settings
from shared.errors import UserError
from step3_rag.pipeline import READERS, STRATEGIES, ChatError, Plan
from step3_rag.reflect.rewrite import STRATEGIES as ALL_STRATEGIES
from step3_rag.reflect.rewrite import WITH_CHAT
from step3_rag.retrieve.rerank import Scorer
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


def search_options(
    settings: Settings,
    k: int,
    fusion: str,
    rerank: str,
    use: str,
    collections: Sequence[str] = (),
    versions: str = "current-first",
    before: Sequence[str] = (),
) -> Options:
    """The options of a search, with the scorer that `--rerank` names.

    Raises:
        UserError: a value that is not allowed.
    """
    kinds = {"hybrid": ("bm25", "dense"), "bm25": ("bm25",), "dense": ("dense",)}
    if k < 1:
        raise UserError(f"--k {k} is not allowed: use a number from 1")
    if fusion not in ("minmax", "rrf"):
        raise UserError(f"--fusion {fusion} is not known: use minmax or rrf")
    if use not in kinds:
        raise UserError(f"--use {use} is not known: use {', '.join(kinds)}")
    if versions not in ("current-first", "current", "all"):
        raise UserError(f"--versions {versions} is not known: use current-first, current or all")
    options = Options(
        k,
        kinds[use],
        fusion,  # type: ignore
        collections=tuple(collections),
        versions=versions,  # type: ignore
        before=tuple(map(checked, before)),
    )
    if rerank in ("maxsim", "none"):
        return dataclasses.replace(options, rerank=rerank)  # type: ignore
    return dataclasses.replace(options, rerank="scorer", scorer=_scorer(settings, rerank))


def _scorer(settings: Settings, name: str) -> Scorer:
    from step3_rag.retrieve.rerank import cross_encoder_scorer, likelihood_scorer

    if name == "likelihood":
        return likelihood_scorer(settings)
    if not Path(name).is_dir():
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
            raise UserError(
                f"--rerank {name} is not known: use maxsim, none, likelihood, or a cross-encoder: a folder "
                "or one of the hub like cross-encoder/ms-marco-MiniLM-L-6-v2"
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
