"""Self-reflection: judge a search and, if it looks bad, search again in another way.

    $ python -m step3_rag ask "wich contracts renew automaticaly" --trace

    search ─ read ─┬─ confident ─────────────────────── answer
       ▲           ├─ low, and a strategy is left ─ rewrite ─┐
       │           └─ low, and none is left ─────── abstain  │
       └─────────────────────────────────────────────────────┘

A bad rewrite is worse than none, and small models write bad ones. So a later attempt wins only if it is
clearly more confident, or alone reaches the threshold: a rewrite can only do harm if the confidence is wrong.
The result is not an answer but the best search, and whether to trust it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from step3_rag.reflect.confidence import confidence
from step3_rag.reflect.rewrite import Chat, rewrite
from step3_rag.retrieve.search import Retriever, SearchOptions, SearchResult

THRESHOLD = 0.35  # the lowest at which at most a fifth of the sample's dev questions is answered wrongly
BETTER_QUESTIONS = ("conversation", "spelling")  # strategies whose query is the question, said better
MARGIN = 0.1  # a later attempt must be more confident by this much: smaller gains are noise


@dataclass(frozen=True)
class Attempt:
    """One search, with one strategy."""

    strategy: str  # "question" for the first
    query: str
    found: SearchResult
    confidence: float
    asked: str = ""  # what the reader is asked: the question, or the query where it is a better question


@dataclass(frozen=True)
class Reflection:
    """The attempts, and the best of them."""

    attempts: list[Attempt]
    best: Attempt
    verdict: str  # "answer" or "abstain"


def reflect(
    retriever: Retriever,
    question: str,
    options: SearchOptions,
    strategies: Sequence[str] = (),
    threshold: float = THRESHOLD,
    chat: Chat | None = None,
) -> Reflection:
    """Search, judge, and search again at most once for each strategy.

    The strategies are tried in their order until the best attempt's confidence reaches the threshold.
    `rewrite` makes of the question, and of what the *first* attempt found, a query and options, or None. What
    was searched already, the same query with the same options, is not searched again.
    """

    def search(strategy: str, query: str, options: SearchOptions) -> Attempt:
        result = retriever.search(query, options)
        asked = query if strategy in BETTER_QUESTIONS else question
        return Attempt(strategy, query, result, confidence(result, retriever, asked), asked)

    attempts = [search("question", question, options)]
    ### BEGIN SOLUTION 3.6: Keep the better attempt
    for strategy in strategies:
        if better(attempts).confidence >= threshold:
            break
        tried = [(attempt.query, attempt.found.options) for attempt in attempts]
        other = rewrite(strategy, question, attempts[0].found, retriever, chat)
        if other and other not in tried:
            attempts.append(search(strategy, *other))
    ### END SOLUTION
    best = better(attempts)
    if best.confidence < threshold:  # another may pass, though it is ahead by less than the margin
        passing = [attempt for attempt in attempts if attempt.confidence >= threshold]
        best = passing[0] if passing else best
    verdict = "answer" if best.confidence >= threshold else "abstain"
    return Reflection(attempts, best, verdict)


def better(attempts: Sequence[Attempt]) -> Attempt:
    """The attempt to be kept. There is at least one.

    In their order, each takes the place of the best so far if its confidence is higher by more than MARGIN;
    just MARGIN is not enough.
    """
    ### BEGIN SOLUTION 3.6: Keep the better attempt
    best = attempts[0]
    for attempt in attempts[1:]:
        if attempt.confidence > best.confidence + MARGIN:
            best = attempt
    return best
    ### END SOLUTION
