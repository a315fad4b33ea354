"""`search`: the passages that are found, with their place at every stage."""

from dataclasses import dataclass

from shared.cli import Console, plain_table
from shared.config import Settings
from step3_rag.answer.context import EXCERPT
from step3_rag.cli.printing import say
from step3_rag.ingest.plain import plain_line
from step3_rag.reflect import route as routing
from step3_rag.reflect.confidence import confidence
from step3_rag.retrieve.search import Place, Retriever, SearchOptions, SearchResult


@dataclass(frozen=True)
class Passage:
    """A passage that was found."""

    chunk: int
    document: str
    place: str
    superseded: bool
    score: float  # of the last stage
    text: str
    stages: dict[str, Place]  # by the name of the stage


@dataclass(frozen=True)
class SearchReport:
    """The passages that were found for a question, best first."""

    command: str
    headline: str
    question: str
    confidence: float
    routed_to: tuple[str, ...] | None  # collections, empty for all; None: without the router
    results: list[Passage]
    milliseconds: dict[str, float]  # by stage


def find_passages(
    retriever: Retriever, question: str, options: SearchOptions, settings: Settings, *, route: bool
) -> SearchReport:
    """Search for a question; with `route`, in the collections that the router chooses.

    Raises:
        UserError: the vector store fails.
    """
    if route:
        router = routing.Router.of(retriever, seed=settings.seed)
        encoded = retriever.embedder.encode([question])[0]
        result = routing.search(retriever, router, question, options, encoded)
    else:
        result = retriever.search(question, options)
    first = result.best[0].source if result.best else "nothing found"
    return SearchReport(
        command="step3_rag search",
        headline=f"{question}: {first}",
        question=question,
        confidence=round(confidence(result, retriever), 3),
        routed_to=result.options.collections if route else None,
        results=passages_of(result),
        milliseconds={name: round(1000 * seconds, 1) for name, seconds in result.seconds.items()},
    )


def passages_of(result: SearchResult) -> list[Passage]:
    """The best chunks of a search, each with its place at every stage."""
    passages = []
    for chunk in result.best:
        stages = result.places(chunk.id)
        last = list(stages.values())[-1]
        passage = Passage(
            chunk=chunk.id,
            document=chunk.document,
            place=chunk.source,
            superseded=chunk.superseded,
            score=last.score,
            text=chunk.text,
            stages=stages,
        )
        passages.append(passage)
    return passages


def show(report: SearchReport, console: Console, *, explain: bool) -> None:
    """Print the passages; with `explain`, also their rank and score at every stage."""
    if not report.results:
        say(console, "nothing found")
    for number, passage in enumerate(report.results, 1):
        superseded = " (superseded)" if passage.superseded else ""
        text = plain_line(passage.text)
        say(console, f"[{number}] {passage.place}{superseded}  ({passage.score:.3f})", "bold")
        say(console, f"    {text[:EXCERPT].rstrip()}{' …' if len(text) > EXCERPT else ''}")
    if explain and report.results:
        show_stages(report.results, console)
    routed = ""
    if report.routed_to is not None:
        routed = f"searched {' and '.join(report.routed_to) or 'all collections'}; "
    times = ", ".join(f"{name} {milliseconds:.0f}" for name, milliseconds in report.milliseconds.items())
    say(console, f"\n{routed}confidence {report.confidence:.2f}; milliseconds: {times}", "dim")


def show_stages(passages: list[Passage], console: Console) -> None:
    """Print the table of ranks and scores, a row for each passage."""
    names: dict[str, None] = {}  # in the order of the pipeline
    for passage in passages:
        names |= dict.fromkeys(passage.stages)
    rows = []
    for number, passage in enumerate(passages, 1):
        cells = [place_cell(passage.stages.get(name)) for name in names]
        rows.append((f"[{number}]", *cells))
    say(console, "\nrank and score at every stage:")
    console.print(plain_table("", *names, rows=rows, right=list(names)))


def place_cell(place: Place | None) -> str:
    """`1 0.93`, or `-` if the stage doesn't have the passage."""
    return f"{place.rank} {place.score:.2f}" if place else "-"
