"""Turn the values of flags into a question, search options, a plan, and the chat model's client."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.catalog import default
from shared.config import Settings
from shared.errors import UserError
from step3_rag.pipeline import DEFAULT_STRATEGIES, Plan
from step3_rag.reflect.rewrite import STRATEGIES
from step3_rag.retrieve.rerank import cross_encoder_scorer
from step3_rag.retrieve.search import SearchOptions

if TYPE_CHECKING:
    import anthropic

LONGEST = 2000  # characters of a question


def check_question(question: str) -> str:
    """The question with normalized white space.

    Raises:
        UserError: it is empty, or as long as a document.
    """
    question = " ".join(question.encode("utf-8", "replace").decode().split())  # bytes that are not text: ?
    if not question:
        raise UserError("the question is empty: ask something, in quotation marks")
    if len(question) > LONGEST:
        raise UserError(
            f"the question has {len(question):,} characters, {LONGEST:,} at most: ask one thing at a time"
        )
    return question


def search_options(settings: Settings, rerank: str, use: str = "hybrid", **others: Any) -> SearchOptions:
    """The options of a search, with the reranker that `--rerank` names; `others` are further fields.

    Raises:
        UserError: no such reranker, or one that can't be loaded.
    """
    kinds = ("bm25", "dense") if use == "hybrid" else (use,)
    if rerank in ("maxsim", "none"):
        return SearchOptions(use=kinds, rerank=rerank, **others)  # type: ignore
    if not Path(rerank).is_dir() and not (settings.hub and "/" in rerank):
        raise UserError(
            f"--rerank {rerank} is not known: use maxsim, none, the folder of a cross-encoder, or (with the "
            "hub, ROADMAP_HUB=true) the name of one, like cross-encoder/ms-marco-MiniLM-L-6-v2"
        )
    return SearchOptions(use=kinds, rerank="scorer", scorer=cross_encoder_scorer(rerank, settings), **others)


def make_plan(
    settings: Settings, options: SearchOptions, reader: str, strategies: str | None, threshold: float
) -> Plan:
    """A plan from the flags; the reader `auto` is the one that measured best for the model.

    Raises:
        UserError: no such strategy.
    """
    names = DEFAULT_STRATEGIES if strategies is None else parse_strategies(strategies)
    if reader == "auto":
        is_small = not settings.base_url and settings.model in (default("chat").id, default("smoke").id)
        reader = "quote" if is_small else "chat"
    return Plan(options, names, threshold, reader=reader)


def parse_strategies(text: str) -> tuple[str, ...]:
    """The strategies of a flag, `spelling,meaning`, each once; `none` stands for no strategy.

    Raises:
        UserError: one of them is not known.
    """
    names = dict.fromkeys(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in STRATEGIES and name != "none":
            raise UserError(f"--strategies {name} is not known: use none, {', '.join(STRATEGIES)}")
    return tuple(name for name in names if name != "none")


def make_client(settings: Settings) -> "anthropic.Anthropic":
    """The chat model's client.

    Raises:
        UserError: Claude without a key, or a model that can't chat.
    """
    from shared.chat.client import chat_client
    from shared.chat.errors import with_timeouts

    return with_timeouts(chat_client(settings=settings))
