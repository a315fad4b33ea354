"""Strategies for another search, if the first one looks bad.

    >>> rewrite("spelling", "wich contracts renew automaticaly?", ...)
    ('which contracts renew automatically?', SearchOptions(...))

    conversation  put the previous question in front of this one ("And on public holidays?")
    spelling      replace words that the collection doesn't have by similar ones that it has
    meaning       the same question, with a weight of 85 % for dense search instead of half
    chat          the chat model rewrites the question
    hyde          add an answer that the chat model invents to the query (query2doc: Wang et al. 2023,
                  arXiv:2303.07678; HyDE: Gao et al. 2022, arXiv:2212.10496)

Which of them help depends on the collection and the chat model; `python -m step3_rag reflect` measures it.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import replace

from shared import prompts
from step3_rag import PROMPTS
from step3_rag.ingest.stems import WORD, stems
from step3_rag.retrieve.search import Retriever, SearchOptions, SearchResult
from step3_rag.retrieve.snapshot import Snapshot

OFFLINE = ("conversation", "spelling", "meaning")
WITH_CHAT = ("chat", "hyde")
STRATEGIES = OFFLINE + WITH_CHAT

Chat = Callable[[prompts.Prompt, str], str]  # a prompt and a user's turn -> the model's answer

PARTS = re.compile(
    r"[,;]?\s+and\s+(?=(?:what|which|how|who|whom|whose|when|where|why|by|for|in|on|to|at|is|are|does|do|did|can"
    r"|may|must)\b)",
    re.IGNORECASE,
)  # where another question begins
CLOSE = 0.85  # similarity of two words' letters
MEANING = 0.85  # weight of dense search


def rewrite(
    strategy: str, question: str, first: SearchResult, retriever: Retriever, chat: Chat | None
) -> tuple[str, SearchOptions] | None:
    """Another query than that of the first search, or other options; None if there is nothing new to try."""
    options = first.options
    if strategy == "meaning":
        both = set(options.use) == {"bm25", "dense"}
        return (question, replace(options, dense_weight=MEANING)) if both else None
    if strategy == "conversation":
        query = " ".join((*options.before[-1:], question))
    elif strategy == "spelling":
        query = correct_spelling(question, retriever.snapshot)
    else:  # one of WITH_CHAT
        assert chat is not None
        name = "rewrite" if strategy == "chat" else "hyde"
        asked = "\n".join((*options.before, question))
        text = " ".join(chat(prompts.load(PROMPTS, name), asked).split())
        query = f"{question} {text}".strip() if strategy == "hyde" else text
    return (query, options) if query and query != question else None


def correct_spelling(question: str, snapshot: Snapshot) -> str:
    """Replace each word that no document has by a very similar one that some have.

    A word is known if its stem is, so `renewing` is right even if the documents only have `renewed`. The
    replacement must begin with the same letter and be very similar, since most unknown words are other words,
    not misspelt ones.

    >>> correct_spelling("automaticaly renewd", retriever.snapshot)
    'automatically renewed'
    """
    corrected = question
    vocabulary = snapshot.vocabulary
    for word in dict.fromkeys(WORD.findall(question.lower())):
        if len(word) < 5 or not word.isalpha() or word in vocabulary or all(map(snapshot.knows, stems(word))):
            continue
        alike = [known for known in vocabulary if known[0] == word[0] and known.isalpha() and len(known) > 3]
        near = difflib.get_close_matches(word, alike, n=3, cutoff=CLOSE)
        if near:
            corrected = re.sub(rf"\b{re.escape(word)}\b", near[0], corrected, flags=re.IGNORECASE)
    return corrected


def parts_of(question: str) -> list[str]:
    """The parts of a compound question.

    >>> parts_of("When does it end, and who signed it?")
    ['When does it end', 'who signed it?']
    """
    return [part for part in PARTS.split(question) if part.strip()] or [question]
