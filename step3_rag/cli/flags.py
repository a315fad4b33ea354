"""The flags that several commands of this step have in common, and what they open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

QUESTION = "What are the contract renewal terms?"
Question = Annotated[str, typer.Argument(help="What to look for.", show_default=True)]
IndexFolder = Annotated[
    Path | None, typer.Option("--index", help="Folder of the index; default rag-index, or the sample corpus.")
]
Store = Annotated[str, typer.Option(help="chroma, faiss, weaviate or pinecone.")]
Address = Annotated[str | None, typer.Option(help="Of the store's server, e.g. http://localhost:8000.")]
Collection = Annotated[
    list[str] | None, typer.Option("--collection", help="Search this collection only; repeat it for several.")
]
Use = Annotated[str, typer.Option(help="hybrid, bm25 or dense.")]
Fusion = Annotated[str, typer.Option(help="minmax (of scores) or rrf (of ranks).")]
Rerank = Annotated[str, typer.Option(help="maxsim, none, likelihood, or a cross-encoder of the hub.")]
Versions = Annotated[
    str,
    typer.Option(
        help="Superseded documents: current-first (they come last), current (left out), all (as any other)."
    ),
]
Before = Annotated[
    list[str] | None,
    typer.Option("--before", help="An earlier question of the conversation; repeat it, oldest first."),
]
Data = Annotated[str, typer.Option("--dataset", help="sample, a folder in BEIR's layout, or beir:NAME.")]
Split = Annotated[
    str | None,
    typer.Option(help="dev, test, kinds-dev or kinds-test; of a folder, the name of its qrels file."),
]
Limit = Annotated[int | None, typer.Option(help="So many questions only, drawn by --seed.")]
ChunkSize = Annotated[int, typer.Option(help="Tokens of a chunk, at most.")]
Overlap = Annotated[int, typer.Option("--chunk-overlap", help="Tokens that neighbouring chunks share.")]


# Parameters of `ask` that have a meaning however it answers, and those of a framework's pipeline.
OPENING = {"question", "index", "store", "address", "model", "engine", "seed", "smoke", "as_json"}
FOR_FRAMEWORKS = {"framework", "k", "reader", *OPENING}


def refuse_flags(context: typer.Context, allowed: set[str], why: str) -> None:
    """Refuse flags that would have no effect.

    Raises:
        UserError: names those that were given.
    """
    given = [
        f"--{name}"
        for name in sorted(context.params.keys() - allowed)
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
    if given:
        from shared.errors import UserError

        raise UserError(f"{', '.join(given)}: {why}; leave it out")


def open_index(settings: Any, index: Path | None, store: str, address: str | None) -> Any:
    from step3_rag.service import open_service

    return open_service(settings, index, store, address)


def open_sample(settings: Any) -> Any:
    from step3_rag.service import sample_service

    return sample_service(settings)
