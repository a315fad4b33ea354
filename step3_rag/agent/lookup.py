"""What the documents say to a question: step 3's pipeline, as an agent's tool."""

import re
from collections.abc import Callable

from step3_rag.agent.world import NOTHING, LookUp
from step3_rag.pipeline import Plan, ask
from step3_rag.retrieve.search import Retriever

THRESHOLD = 0.35  # chosen on sample-dev
MARK = re.compile(r"\s*\[\d+\]")


def documents_tool(retriever: Retriever, threshold: float = THRESHOLD) -> Callable[[str], LookUp]:
    """A function that answers a question with quoted sentences, or NOTHING if the confidence is too low."""

    def look_up(question: str) -> LookUp:
        outcome = ask(retriever, question, Plan(threshold=threshold))
        if outcome.answer.is_unknown:
            return LookUp(NOTHING)
        cited: set[int] = set()
        for sentence in outcome.answer.cited:
            cited |= set(sentence.numbers)
        names = dict.fromkeys(source.document for source in outcome.sources if source.number in cited)
        text = MARK.sub("", outcome.answer.text).strip()
        return LookUp(text, tuple(names), outcome.confidence)

    return look_up
