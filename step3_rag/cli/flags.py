"""Flags that several commands of this step share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from shared.errors import UserError

QUESTION = "When do contracts renew automatically?"
Question = Annotated[str, typer.Argument(help="What to look for.", show_default=True)]
IndexFolder = Annotated[
    Path | None,
    typer.Option(
        "--index", help="Folder of the index, or sample; default rag-index, or sample if there is none."
    ),
]
OwnIndex = Annotated[Path | None, typer.Option("--index", help="Folder of the index; default rag-index.")]
Store = Annotated[str, typer.Option(help="chroma, faiss, weaviate or pinecone.")]
Address = Annotated[
    str | None, typer.Option(help="Address of the store's server, such as http://localhost:8000.")
]
Collection = Annotated[
    list[str] | None, typer.Option("--collection", help="Search this collection only; repeat it for several.")
]
Reader = Annotated[
    Literal["auto", "quote", "write", "chat"],
    typer.Option(
        help="Quote the sentence that answers, let the chat model write from it, or let it read the passages "
        "itself; auto takes what measured best."
    ),
]
Use = Annotated[
    Literal["hybrid", "bm25", "dense"], typer.Option(help="Search by keywords, by meaning, or both.")
]
Rerank = Annotated[
    str, typer.Option(help="maxsim, none, or a cross-encoder (a folder, or a model of the hub).")
]
Versions = Annotated[
    Literal["current-first", "current", "all"],
    typer.Option(help="Superseded documents: rank them last, leave them out, or treat them as any other."),
]
Data = Annotated[str, typer.Option("--dataset", help="sample, railway, or a folder in BEIR's layout.")]
Split = Annotated[
    str | None,
    typer.Option(
        help="dev, test, kinds-dev, kinds-test, answers-dev, answers-test; of a folder: its file in qrels."
    ),
]
Limit = Annotated[int | None, typer.Option(help="Use only this many questions, drawn by ROADMAP_SEED.")]

# The parameters of `ask` that apply to --graph, and those that apply to --framework.
FOR_GRAPH = {"question", "graph", "index", "smoke", "as_json"}
FOR_FRAMEWORKS = FOR_GRAPH - {"graph"} | {"framework", "k", "reader", "store", "address", "model"}


def refuse_flags(context: typer.Context, allowed: set[str], why: str) -> None:
    """Refuse flags that would have no effect.

    Raises:
        UserError: names those that were given.
    """
    given = [
        f"--{name.replace('_', '-')}"
        for name in sorted(context.params.keys() - allowed)
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
    if given:
        raise UserError(f"{', '.join(given)}: {why}; leave it out")
