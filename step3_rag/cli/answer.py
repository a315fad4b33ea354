"""An answer as `ask` and `agent` print it: with the sources that it cites, and how it was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.cli import Console
from step3_rag.answer.context import EXCERPT, Source, excerpt
from step3_rag.answer.read import Answer, Cited
from step3_rag.cli.printing import say
from step3_rag.reflect.loop import Reflection

SUSPICIOUS = "has what looks like an instruction to a model; it is treated as a quotation"


@dataclass(frozen=True)
class CitedSentence:
    """A sentence of the answer, the sources that it cites, and whether they support it."""

    sentence: str
    numbers: tuple[int, ...]
    support: float
    unknown: tuple[int, ...]
    conflicts: tuple[str, ...]
    supported: bool


@dataclass(frozen=True)
class NumberedSource:
    """A source, with the excerpt that is shown."""

    number: int
    document: str
    place: str  # of the excerpt
    text: str
    chunks: tuple[int, ...]
    excerpt: str  # begins with the first sentence that the answer quotes from it
    suspicious: bool  # looks like an instruction to a model


@dataclass(frozen=True)
class Usage:
    """Tokens of the chat model; None if it was not asked."""

    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True)
class SearchAttempt:
    """One search of a question."""

    strategy: str
    query: str
    confidence: float
    kept: bool


@dataclass(frozen=True, kw_only=True)
class AnswerReport:
    """An answer, and how it was found."""

    command: str
    headline: str
    question: str
    answer: str | None  # None if the chat model failed
    abstained: bool
    replaced: str | None  # what the chat model wrote, if the evidence stands in its place
    citations: list[CitedSentence]
    sources: list[NumberedSource]
    stop_reason: str | None
    usage: Usage
    confidence: float | None  # None: nobody judged the search
    searches: int
    attempts: list[SearchAttempt]
    seconds: dict[str, float]  # by part


def describe_answer(
    command: str,
    question: str,
    answer: Answer,
    sources: Sequence[Source],
    seconds: Mapping[str, float],
    *,
    searches: int = 1,
    reflection: Reflection | None = None,
) -> AnswerReport:
    """The report of an answer; with a reflection, it has the searches and their confidence."""
    attempts = attempts_of(reflection) if reflection else []
    return AnswerReport(
        command=command,
        headline=headline(answer.text),
        question=question,
        answer=answer.text,
        abstained=answer.is_unknown,
        replaced=answer.replaced,
        citations=[cited_sentence(cited) for cited in answer.cited],
        sources=[numbered_source(source, answer) for source in sources],
        stop_reason=answer.stop_reason,
        usage=Usage(answer.input_tokens, answer.output_tokens),
        confidence=round(reflection.best.confidence, 3) if reflection else None,
        searches=len(attempts) or searches,
        attempts=attempts,
        seconds={name: round(value, 3) for name, value in seconds.items()},
    )


def headline(text: str) -> str:
    """The beginning of a text, in one line."""
    return " ".join(text.split())[:160]


def cited_sentence(cited: Cited) -> CitedSentence:
    """A checked sentence for the report."""
    return CitedSentence(
        sentence=cited.sentence,
        numbers=cited.numbers,
        support=cited.support,
        unknown=cited.unknown,
        conflicts=cited.conflicts,
        supported=cited.is_supported,
    )


def numbered_source(source: Source, answer: Answer) -> NumberedSource:
    """A source for the report, with an excerpt from the first sentence on that the answer cites it for."""
    quoted = [cited.sentence for cited in answer.cited if source.number in cited.numbers]
    place, text = excerpt(source, quoted[0] if quoted else "")
    return NumberedSource(
        number=source.number,
        document=source.document,
        place=place,
        text=source.text,
        chunks=source.chunks,
        excerpt=text,
        suspicious=source.is_suspicious,
    )


def attempts_of(reflection: Reflection) -> list[SearchAttempt]:
    """The searches of a reflection, in their order."""
    attempts = []
    for attempt in reflection.attempts:
        confidence = round(attempt.confidence, 3)
        kept = attempt is reflection.best
        attempts.append(SearchAttempt(attempt.strategy, attempt.query, confidence, kept))
    return attempts


# --- printing ---------------------------------------------------------------------------------------------


def show_answer(
    report: AnswerReport,
    console: Console,
    *,
    trace: bool = False,
    streamed: bool = False,
    threshold: float | None = None,
) -> None:
    """Print the answer with the sources that it cites; with `trace`, also every search.

    Args:
        streamed: the text of the answer is on the screen already.
        threshold: of the confidence.
    """
    if not streamed:
        say(console, report.answer or "")
    if report.stop_reason not in (None, "end_turn", "stop_sequence"):
        say(console, f"(the answer is incomplete: {report.stop_reason})", "yellow")
    shown = sources_to_show(report)
    if report.abstained and report.sources:
        say(console, "\nThe nearest passages:", "dim")
    show_sources(shown, console)
    show_warnings(report, shown, console)
    say(console, f"\n{last_line(report, threshold)}", "dim")
    if trace:
        console.print()
        for attempt in report.attempts:
            kept = "kept" if attempt.kept else "    "
            say(console, f"{kept} {attempt.confidence:.2f}  {attempt.strategy}: {attempt.query}")


def sources_to_show(report: AnswerReport) -> list[NumberedSource]:
    """The sources that the answer cites; the first three if there is no answer."""
    if report.abstained:
        return report.sources[:3]
    cited: set[int] = set()
    for sentence in report.citations:
        cited.update(sentence.numbers)
    return [source for source in report.sources if source.number in cited]


def show_sources(sources: Sequence[NumberedSource], console: Console) -> None:
    """Print numbered sources, each with an excerpt."""
    for source in sources:
        text = " ".join(source.excerpt.split())
        say(console, f"\n[{source.number}] {source.place}", "bold")
        say(console, f"    {text}{' …' if len(text) == EXCERPT else ''}")
        if source.suspicious:
            say(console, f"    ({SUSPICIOUS})", "yellow")


def show_warnings(report: AnswerReport, shown: Sequence[NumberedSource], console: Console) -> None:
    """Print which sentences are not supported, and which of the sources not shown look like instructions."""
    unsupported = [cited.sentence for cited in report.citations if not cited.supported]
    if unsupported and not report.abstained:
        share = f"{len(unsupported)} of {len(report.citations)} sentences"
        say(console, f"\nnot supported by what is cited: {share}, such as: {unsupported[0][:120]}", "yellow")
    for source in report.sources:
        if source.suspicious and source not in shown:
            say(console, f"\n{source.place} was also read, and {SUSPICIOUS}", "yellow")


def last_line(report: AnswerReport, threshold: float | None) -> str:
    """Confidence, searches, tokens and seconds."""
    parts = [confidence_in_words(report, threshold)]
    if report.replaced:
        parts.append("quoted: what the model wrote says something else")
    parts.append("1 search" if report.searches == 1 else f"{report.searches} searches")
    usage = report.usage
    if usage.input_tokens is not None:
        parts.append(f"{usage.input_tokens} tokens read, {usage.output_tokens} written")
    parts.append(f"{sum(report.seconds.values()):.1f} s")
    return ", ".join(parts)


def confidence_in_words(report: AnswerReport, threshold: float | None) -> str:
    """The confidence; if there is no answer because of it, with the threshold."""
    confidence = report.confidence
    if confidence is None:
        return "no confidence"
    if report.abstained and threshold is not None and confidence < threshold:
        return f"confidence {confidence:.3f} is below the threshold {threshold:g}"
    return f"confidence {confidence:.2f}"
