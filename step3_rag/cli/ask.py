"""`ask`, `search` and `agent`: the facts that are shown."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from shared.errors import UserError
from step3_rag.cli import render
from step3_rag.options import client_of
from step3_rag.pipeline import ChatError, Plan, ask
from step3_rag.reflect.confidence import confidence
from step3_rag.retrieve.search import Options
from step3_rag.service import Service

if TYPE_CHECKING:
    import anthropic
    from rich.console import Console


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

        return render.failed_facts(question, error, f"{model}: {explain(error.cause, service.settings)}")
    return render.answer_facts(outcome, plan, model if client else None)


def run_framework(
    service: Service, question: str, plan: Plan, name: str, client: anthropic.Anthropic | None
) -> dict[str, Any]:
    """Ask by LangChain, LlamaIndex or LangGraph; the facts of the answer, which has no confidence."""
    from shared.chat.errors import one_line_errors
    from step3_rag.frameworks.ask import ask as ask_framework

    settings, began = service.settings, time.perf_counter()
    with one_line_errors(settings.model, settings):
        sources, answer = ask_framework(
            name, service.retriever, question, client, settings.model, plan.options.k
        )
    return {
        **render.facts_of(question, answer, sources, plan.reader, settings.model if client else None),
        "framework": name,
        "confidence": None,
        "attempts": [],
        "path": [],
        "seconds": {"search": 0.0, "answer": round(time.perf_counter() - began, 3)},
    }


def search(service: Service, question: str, options: Options, route: bool) -> dict[str, Any]:
    """Search only; the facts of the results.

    Raises:
        UserError: collections are named and the router is to choose them, too.
    """
    retriever = service.retriever
    if route:
        if options.collections:
            raise UserError("--route chooses the collections itself: leave out --collection")
        from step3_rag.reflect import routed as routing
        from step3_rag.retrieve.route import Router

        where = Router.of(retriever, seed=service.settings.seed)
        encoded = retriever.embedder.encode([question])[0]
        found, routed = routing.search(retriever, where, question, options, encoded)
    else:
        found, routed = retriever.search(question, options), None
    return render.search_facts(found, routed, confidence(found, retriever, ask_evaluator=False))


def run_agent(service: Service, question: str) -> dict[str, Any]:
    """Ask the agent; the facts of its answer.

    Raises:
        UserError: no key, or an API that fails.
    """
    from shared.chat.errors import one_line_errors
    from step3_rag.answer.agent import run as run_loop

    settings, began = service.settings, time.perf_counter()
    client = client_of(settings)
    with one_line_errors(settings.model, settings):
        done = run_loop(client, settings.model, service.retriever, question)
    return {
        "command": "step3_rag agent",
        "headline": f"{_count(len(done.calls), 'look-up')}: {' '.join(done.text.split())}"[:160],
        "question": question,
        "answer": done.text,
        "calls": [each._asdict() for each in done.calls],
        "sources": render.source_facts(done.sources),
        "cited": sorted({int(each) for each in re.findall(r"\[(\d+)\]", done.text)}),
        "stop_reason": done.stop_reason,
        "turns": len(done.usages),
        "input_tokens": sum(_prompt(each) for each in done.usages),
        "output_tokens": sum(each.output_tokens for each in done.usages),
        "model": settings.model,
        "seconds": round(time.perf_counter() - began, 2),
    }


def _prompt(usage: anthropic.types.Usage) -> int:
    """All tokens that the model read: the API counts what the cache took part in apart."""
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    return usage.input_tokens + cached


def show_agent(facts: Mapping[str, Any], console: Console) -> None:
    """What was looked up, the answer, what it cites, what it cost."""
    for each in facts["calls"]:
        given = json.dumps(each["input"], ensure_ascii=False)
        console.print(f"{each['tool']} {given}", style="cyan", soft_wrap=True)
        console.print(f"    {_gist(each)}", style="red" if each["is_error"] else "dim", soft_wrap=True)
    if not facts["calls"]:
        console.print("nothing was looked up: what follows is the model's own", style="yellow")
    console.print(f"\n{facts['answer']}", soft_wrap=True)
    render.show_sources([each for each in facts["sources"] if each["number"] in facts["cited"]], console)
    if facts["stop_reason"] != "end_turn":
        console.print(f"\nThe answer is not whole: {facts['stop_reason']}.", style="yellow")
    console.print(
        f"\n{_count(facts['turns'], 'turn')}, {_count(len(facts['calls']), 'look-up')}; "
        f"{facts['input_tokens']:,} tokens read, {facts['output_tokens']:,} written; "
        f"{facts['model']}; {facts['seconds']:.1f} s",
        style="dim",
        soft_wrap=True,
    )


def _gist(called: Mapping[str, Any]) -> str:
    """A result on one line."""
    if called["is_error"]:
        return str(called["result"])
    result = json.loads(called["result"])
    return f"{result['sources'].count('</source>')} sources, confidence {result['confidence']:.2f}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
