"""Do the passages answer the question? The reader's best sentence, and the probability that it is right.

    >>> found = retriever.search("When does the Brightwell contract renew?")
    >>> find_evidence(found, retriever)[0].sentence
    'The contract renews for one year each January.'
    >>> confidence(found, retriever)
    0.93

A cosine can't say whether a passage *answers*: one about the same thing, with the same words, has a high
cosine, too. The reader (retrieve/reader.py) was trained to tell them apart. Its score is a difference of
log-odds; two numbers, fitted on judged questions by `python -m step3_rag calibrate`, turn it into a
probability (Platt 1999):

    confidence = 1 / (1 + exp(-(weight * score + bias)))

It is a probability on collections like those it was fitted on, and only a score on others.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from step3_rag.ingest.index import Chunk
from step3_rag.ingest.instructions import looks_like_instruction
from step3_rag.ingest.plain import without_headings
from step3_rag.reflect.rewrite import correct_spelling, parts_of
from step3_rag.retrieve.reader import PassageReader
from step3_rag.retrieve.search import Retriever, SearchResult

WEIGHTS = Path(__file__).with_name("confidence.json")
LETTER = re.compile(r"[^\W\d_]")
NOTHING = -20.0  # the score where there is nothing to read


@dataclass(frozen=True)
class Evidence:
    """The sentence that answers a question best, or one part of it."""

    question: str
    chunk: Chunk
    sentence: str
    score: float  # log-odds against "not here"


@dataclass(frozen=True)
class Calibration:
    """How a score becomes a probability."""

    weight: float
    bias: float

    def probability(self, score: float) -> float:
        """Between 0 and 1."""
        log_odds = self.weight * score + self.bias
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, log_odds))))


def find_evidence(result: SearchResult, retriever: Retriever, question: str | None = None) -> list[Evidence]:
    """The best sentence of all passages found, for each part of the question; parts without one are left out.

    `question` is what is read, if it is not the search's query. Its spelling is corrected first.
    """
    corrected = correct_spelling(question or result.query, retriever.snapshot)
    return evidence_in(result.best, corrected, retriever.reader)


def evidence_in(chunks: Sequence[Chunk], question: str, reader: PassageReader) -> list[Evidence]:
    """The same for any chunks."""
    evidence = []
    for part in parts_of(question):
        candidates = []
        for chunk in chunks:
            reading = reader.read(part, chunk.source, chunk.text)
            for (start, end), score in zip(reading.sentences, reading.scores, strict=True):
                sentence = chunk.text[start:end]
                if can_be_quoted(sentence):
                    candidates.append(Evidence(part, chunk, sentence, float(score)))
        if candidates:
            evidence.append(max(candidates, key=lambda candidate: candidate.score))
    return evidence


def can_be_quoted(sentence: str) -> bool:
    """Whether it is more than a heading or number, and doesn't look like an instruction to a model."""
    return LETTER.search(without_headings(sentence)) is not None and not looks_like_instruction(sentence)


def score_of(evidence: Sequence[Evidence]) -> float:
    """The score of the best evidence."""
    return max((one.score for one in evidence), default=NOTHING)


def confidence(result: SearchResult, retriever: Retriever, question: str | None = None) -> float:
    """The probability that the best evidence answers the question, or one part of it."""
    return load().probability(score_of(find_evidence(result, retriever, question)))


@cache
def load(path: Path = WEIGHTS) -> Calibration:
    """The calibration in a file that `save` wrote."""
    saved = json.loads(path.read_text(encoding="utf-8"))
    return Calibration(saved["weight"], saved["bias"])


def save(calibration: Calibration, path: Path, **facts: object) -> None:
    """Write a calibration to a file, with facts about how it was fitted."""
    path.write_text(json.dumps({**asdict(calibration), **facts}, indent=1) + "\n", encoding="utf-8")
