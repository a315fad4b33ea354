"""What the graph's commands print for people; programs get the same facts as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from step3_rag.graph import compare as graph_compare

if TYPE_CHECKING:
    from rich.console import Console


def show_build(facts: dict[str, Any], console: Console) -> None:
    """What the graph holds."""
    console.print(f"{facts['headline']}; extracted by {facts['extractor']} in {facts['seconds']:.1f} s")
    for name in ("types", "relations"):
        told = ", ".join(f"{count} {kind}" for kind, count in facts[name].items())
        console.print(f"  {name}: {told}", soft_wrap=True)
    if facts["failed_chunks"]:
        console.print(f"  {facts['failed_chunks']} of {facts['chunks']} passages gave nothing usable")
    console.print("  the largest communities:")
    for theme in facts["themes"]:
        console.print(f"    {theme}", soft_wrap=True)
    if "picture" in facts:
        console.print(f"The picture: {facts['picture']}", soft_wrap=True)


def show_ask(facts: dict[str, Any], console: Console) -> None:
    """The answer with its sources."""
    if facts["way"] == "edges":
        _show_shared(facts, console)
    elif facts["way"] == "communities":
        for number, theme in enumerate(facts["themes"], 1):
            console.print(f"{number}. {theme['title']} ({theme['size']} nodes)", style="bold", soft_wrap=True)
            if theme.get("summary"):
                console.print(f"   {theme['summary']}", soft_wrap=True)
            more = f", and {theme['more_documents']} more" if theme["more_documents"] else ""
            console.print(f"   {', '.join(theme['documents'])}{more}", soft_wrap=True)
            for each in theme["sentences"]:
                console.print(f"   - {each['text']} [{each['source']}]", soft_wrap=True)
    else:
        console.print(f"Names in the question: {', '.join(facts['linked']) or 'none'}", soft_wrap=True)
        console.print(f"Names that led on: {', '.join(facts['bridges']) or 'none'}", soft_wrap=True)
        for each in facts["stated"]:
            console.print(f"  {each['source']} - {each['relation']} -> {each['target']}", soft_wrap=True)
        for number, each in enumerate(facts["passages"], 1):
            before = each["rank_in_plain_search"]
            moved = "" if before == number else f" (plain search: {before or 'not found'})"
            console.print(f"\n{number}. {each['source']}{moved}", style="bold", soft_wrap=True)
            console.print(" ".join(each["text"].split())[:300], soft_wrap=True)


def _show_shared(facts: dict[str, Any], console: Console) -> None:
    if not facts["shared"]:
        console.print(f"The graph knows no document that shares a {facts['role']} with {facts['of']}.")
        return
    by_whom: dict[str, list[dict[str, Any]]] = {}
    for each in facts["shared"]:
        by_whom.setdefault(each["whom"], []).append(each)
    for whom, those in by_whom.items():
        of = f" [{those[0]['of_source']}]" if those[0]["of_source"] else ""
        console.print(
            f"{whom}, {facts['role']} of {facts['of']}{of}, is also in:", style="bold", soft_wrap=True
        )
        for each in those:
            how = "" if each["relation"] == facts["role"] else f" as {each['relation']}"
            console.print(f"  {each['title']}{how} [{each['source']}]", soft_wrap=True)


def show_compare(facts: dict[str, Any], console: Console) -> None:
    """The table and what it says."""
    graph_compare.show(facts, console)
    console.print(
        f"\n{facts['headline']}.\n{facts['data']}; graph by {facts['extractor']}; the way over names costs "
        f"{facts['milliseconds']:.0f} ms a question (median); differences with 95 % intervals from a paired "
        f"bootstrap; {facts['machine']}",
        soft_wrap=True,
    )
