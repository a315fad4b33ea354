"""Open the index that a command searches."""

from collections.abc import Sequence
from pathlib import Path

from shared.config import Settings
from shared.errors import UserError
from step3_rag import cached_index, opening
from step3_rag.retrieve.search import Retriever

SAMPLE = "(from the sample documents; `python -m step3_rag ingest FOLDER` makes an index of yours)"


def open_retriever(
    settings: Settings,
    folder: Path | None,
    store: str = "chroma",
    address: str | None = None,
    collections: Sequence[str] = (),
    *,
    quiet: bool,
) -> Retriever:
    """A retriever on the index. If that is the sample's, a first line says so, unless `quiet`.

    Raises:
        UserError: the index lacks one of the collections, or as `opening.open_retriever`.
    """
    retriever = opening.open_retriever(settings, folder, store, address)
    if collections:
        refuse_unknown(collections, sorted(set(retriever.snapshot.collections)))
    if retriever.index.folder == cached_index.sample_home(settings) and not quiet:
        print(SAMPLE)
    return retriever


def refuse_unknown(collections: Sequence[str], known: Sequence[str]) -> None:
    """Check the names of collections.

    Raises:
        UserError: names the first one that is not known.
    """
    for name in collections:
        if name not in known:
            raise UserError(f"--collection {name} is not in the index: it has {', '.join(known) or 'none'}")
