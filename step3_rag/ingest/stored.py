"""Documents that have no file, such as uploads of step 5, read again from the index that has them.

>>> [document.name for document in documents_without_file(index)]
['contracts/supply.md']

An index keeps a document's chunks, which overlap; joined, they are its text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from step3_rag.ingest import load
from step3_rag.ingest.index import Chunk, Index, joined


@dataclass(frozen=True)
class StoredDocument:
    """A document as an index has it; implements DocumentSource."""

    key: str
    name: str
    collection: str
    sha256: str
    bytes: int
    document: load.Document

    def size(self) -> int:
        return self.bytes

    def digest(self) -> str:
        return self.sha256

    def read(self) -> load.Document:
        return self.document


def documents_without_file(index: Index) -> list[StoredDocument]:
    """The documents of an index that can't be read from a file again.

    Raises:
        UserError, sqlite3.Error: the index is damaged, or has another format.
    """
    paths = [path for (path,) in index.rows("SELECT path FROM documents")]
    without_file = {path for path in paths if not Path(path).is_absolute()}
    if not without_file:
        return []
    stored = []
    for row in index.documents():
        if row["path"] in without_file:
            document = _document(row["title"], index.chunks_of(row["name"]))
            stored.append(
                StoredDocument(
                    row["path"], row["name"], row["collection"], row["sha256"], row["size"], document
                )
            )
    return stored


def _document(title: str, chunks: Sequence[Chunk]) -> load.Document:
    """A document of its chunks, in their order."""
    text = joined(chunks) if chunks else ""
    pages: list[int] = []
    place = 0
    for chunk in chunks:
        place = max(place, text.find(chunk.text, place))
        pages += [place] * ((chunk.page or 0) - len(pages))
    superseded = any(chunk.superseded for chunk in chunks)
    return load.Document(title, text, tuple(pages), superseded)
