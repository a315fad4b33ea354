"""Compare the three frameworks with our own pipeline: what they find, how long it takes, what they can do.

    $ python -m step3_rag evaluate --frameworks --split dev

All search the same index. LangChain and LlamaIndex are held against `Retriever.search`, LangGraph against the
loop of reflect/loop.py, which it has, too.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import anthropic
import httpx2

from shared import hardware
from shared.chat.client import chat_client
from shared.config import Settings
from shared.progress import track
from shared.stats import subset
from step3_rag.evaluate import dataset
from step3_rag.evaluate.dataset import Question, dataset_retriever
from step3_rag.frameworks import parts
from step3_rag.pipeline import DEFAULT_STRATEGIES, ChatError, Plan, ask
from step3_rag.reflect.loop import reflect
from step3_rag.retrieve.search import Retriever, SearchOptions

K = 5  # passages
ROUNDS = 3
TIMED = 20  # questions of a round

Search = Callable[[str], list[int]]  # from a question to the numbers of the best chunks


@dataclass(frozen=True)
class Agreement:
    """For how many questions a framework has our best five passages, in our order."""

    framework: str
    same: int
    n: int


@dataclass(frozen=True)
class SearchTime:
    """Seconds for one search: the mean of a round's questions, over several rounds."""

    pipeline: str
    median: float
    fastest: float
    slowest: float


@dataclass(frozen=True)
class FusionMode:
    """How good one of LlamaIndex's ways to fuse is."""

    mode: str
    first: int  # questions for which a relevant document is first
    among_five: int  # for which one is among the five
    n: int


@dataclass(frozen=True)
class Ability:
    """Something that one pipeline can do, and how often it did."""

    pipeline: str
    what: str
    done: int
    n: int


@dataclass(frozen=True, kw_only=True)
class FrameworksReport:
    """What `evaluate --frameworks` measured."""

    command: str
    headline: str
    n: int  # questions
    agreement: list[Agreement]
    times: list[SearchTime]
    fusion: list[FusionMode]
    abilities: list[Ability]
    note: str
    machine: str = field(default_factory=hardware.describe)


def run(settings: Settings, name: str, split: str | None, limit: int | None) -> FrameworksReport:
    """Search for every question of a dataset with each framework.

    Raises:
        UserError: no such dataset, or a framework is not installed.
    """
    for framework in parts.MODULES:
        parts.load(framework)  # all are needed: an error comes before minutes of work
    data = dataset.read(name, split)
    retriever = dataset_retriever(settings, data)
    questions = subset(dataset.with_answer(data.questions), limit, settings.seed)
    asked = track(f"asking {data.name}", [question.text for question in questions])
    agreement = compare(retriever, asked)
    pauses = count_pauses(retriever, questions)
    return FrameworksReport(
        command="step3_rag evaluate --frameworks",
        headline="our best five: " + ", ".join(f"{row.framework} {row.same} of {row.n}" for row in agreement),
        n=len(questions),
        agreement=agreement,
        times=measure_times(pipelines_of(retriever), [question.text for question in questions[:TIMED]]),
        fusion=compare_fusion(retriever, questions),
        abilities=[*answers_without_model(retriever, questions[0].text, settings), pauses],
        note=f"{data.name}: {len(questions)} questions with an answer; times of the first "
        f"{min(TIMED, len(questions))}, {ROUNDS} rounds",
    )


# --- the same passages, and the time that it takes --------------------------------------------------------


def pipelines_of(retriever: Retriever) -> dict[str, Search]:
    """Our two pipelines, each before the frameworks that do the same."""

    def ours(question: str) -> list[int]:
        return [chunk.id for chunk in retriever.search(question, SearchOptions(k=K)).best]

    def our_loop(question: str) -> list[int]:
        reflection = reflect(retriever, question, SearchOptions(k=K), DEFAULT_STRATEGIES)
        return [chunk.id for chunk in reflection.best.found.best]

    def of(framework: str) -> Search:
        search = parts.load(framework).search
        return lambda question: search(retriever, question, K)

    return {
        "ours": ours,
        "langchain": of("langchain"),
        "llamaindex": of("llamaindex"),
        "our loop": our_loop,
        "langgraph": of("langgraph"),
    }


def compare(retriever: Retriever, questions: Iterable[str]) -> list[Agreement]:
    """Count the questions for which each framework finds what ours finds."""
    pipelines = pipelines_of(retriever)
    same = dict.fromkeys(parts.MODULES, 0)
    n = 0
    for question in questions:
        n += 1
        searched = pipelines["ours"](question)
        looped = pipelines["our loop"](question)
        for framework in same:
            expected = looped if framework == "langgraph" else searched
            same[framework] += pipelines[framework](question) == expected
    return [Agreement(framework, count, n) for framework, count in same.items()]


def measure_times(pipelines: Mapping[str, Search], questions: Sequence[str]) -> list[SearchTime]:
    """Time every pipeline on the same questions, in turns, so that a slow minute of the machine hits all.

    What the reader has read before is in its cache, so the loops are compared without it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in pipelines}
    for _ in range(ROUNDS):
        for name, search in pipelines.items():
            began = time.perf_counter()
            for question in questions:
                search(question)
            seconds[name].append((time.perf_counter() - began) / len(questions))
    return [
        SearchTime(name, statistics.median(rounds), min(rounds), max(rounds))
        for name, rounds in seconds.items()
    ]


# --- what each does better --------------------------------------------------------------------------------


def compare_fusion(retriever: Retriever, questions: Sequence[Question]) -> list[FusionMode]:
    """LlamaIndex's three ways to fuse scores, which one word chooses."""
    llamaindex = parts.load("llamaindex")
    rows = []
    for mode in ("relative_score", "dist_based_score", "reciprocal_rerank"):
        engine = llamaindex.query_engine(retriever, K, llamaindex.FUSION_MODES(mode))
        first = 0
        among_five = 0
        for question in questions:
            nodes = engine.retrieve(llamaindex.QueryBundle(question.text))
            chunks = retriever.index.chunks([int(node.node_id) for node in nodes])
            relevant = [chunk.document in question.qrels for chunk in chunks]
            first += relevant[:1] == [True]
            among_five += any(relevant)
        rows.append(FusionMode(mode, first, among_five, len(questions)))
    return rows


def answers_without_model(retriever: Retriever, question: str, settings: Settings) -> list[Ability]:
    """Who answers although the first chat model can't be reached: our pipeline, and LangChain's."""
    langchain = parts.load("langchain")
    what = "answers if the first model fails"
    down = unreachable_client()
    plan = Plan(reader="chat", strategies=(), threshold=0, abstain=False)
    try:
        answer = ask(retriever, question, plan, down, "unreachable").answer.text
    except ChatError:
        answer = ""
    spare = langchain.chat_model(chat_client(settings=settings), settings.model)
    chain = langchain.answer_chain(retriever, down, "unreachable", K, fallbacks=[spare])
    outcome = chain.invoke(question)
    return [
        Ability("ours", what, int(bool(answer)), 1),
        Ability("langchain", what, int(bool(outcome["answer"])), 1),
    ]


def unreachable_client() -> anthropic.Anthropic:
    """A client whose server doesn't answer."""

    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("no server", request=request)

    http = anthropic.DefaultHttpxClient(transport=httpx2.MockTransport(refuse))
    return anthropic.Anthropic(api_key="none", max_retries=0, http_client=http)


def count_pauses(retriever: Retriever, questions: Sequence[Question]) -> Ability:
    """How often LangGraph stops before it rewrites, and another graph goes on to the end that ours has."""
    from langgraph.checkpoint.memory import InMemorySaver

    langgraph = parts.load("langgraph")
    our_loop = pipelines_of(retriever)["our loop"]
    stopped = 0
    same_end = 0
    for question in questions:
        memory = InMemorySaver()
        thread = {"configurable": {"thread_id": question.id}}
        graph = langgraph.build(retriever, K, memory, interrupt_before=["rewrite"])
        graph.invoke(langgraph.start(question.text), thread)
        if not graph.get_state(thread).next:
            continue  # confident at once
        stopped += 1
        other = langgraph.build(retriever, K, memory)  # knows only what the memory holds
        state = other.invoke(None, thread)
        same_end += langgraph.choose(state["attempts"])["best"] == our_loop(question.text)
    return Ability("langgraph", "stops before it rewrites, goes on later", same_end, stopped)
