"""Retrieval-augmented generation on one page: chunk, embed, store, retrieve, answer; in doubt, ask again.

    python -m step3_rag.minimal "What are the contract renewal terms?"       the sample's documents
    python -m step3_rag.minimal "When is the rent due?" --documents notes/   your own .md and .txt files

A passage's score is the cosine of its vector with the question's. If none reaches `SURE`, the chat model
rewrites the question, and the better search counts. pipeline.py has the same steps, measured and improved.
"""

from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import chromadb
import typer
from chromadb.utils.batch_utils import create_batches

from shared.chat.client import chat_client
from shared.config import load_settings
from shared.errors import UserError
from shared.launch import run_main
from shared.models import load_embedder

QUESTION = "What are the contract renewal terms?"
DOCUMENTS = Path(__file__).parent / "sample/documents"
SIZE = 800  # characters of a chunk
OVERLAP = 150  # characters
K = 5  # passages
SURE = 0.5  # cosine
COSINE: Any = {"hnsw": {"space": "cosine"}}
ANSWER = "Answer the question from the numbered passages only, in one or two sentences. Cite them like [1]."
REWRITE = "Write the question in other words, as a search query for documents. Reply with one line."


class Rag:
    """A folder's documents in a vector store, the embedder, and the chat model."""

    def __init__(self, folder: Path, embedder: Any, client: Any, model: str) -> None:
        self.embedder = embedder
        self.client = client
        self.model = model
        chroma = chromadb.EphemeralClient()
        self.store = chroma.create_collection(uuid4().hex, configuration=COSINE, embedding_function=None)
        files = [path for path in folder.rglob("*") if path.suffix in (".md", ".txt") and path.is_file()]
        for path in files:
            texts = chunks(path.read_text("utf-8", "replace"))
            name = str(path.relative_to(folder))
            ids = [f"{name} {i}" for i in range(len(texts))]
            about = [{"source": name}] * len(texts)
            for batch in create_batches(chroma, ids, embedder.encode(texts), about, texts):  # type: ignore
                self.store.upsert(*batch)

    def retrieve(self, query: str) -> list[tuple[float, str, str]]:
        """The nearest passages, best first: cosine, document, text."""
        result: Any = self.store.query(self.embedder.encode([query]), n_results=K)
        rows = zip(result["distances"][0], result["metadatas"][0], result["documents"][0], strict=True)
        return [(1 - distance, about["source"], text) for distance, about, text in rows]

    def ask(self, question: str) -> str:
        """Retrieve; in doubt, ask again in other words; answer from what was found."""
        hits = self.retrieve(question)
        if not hits:
            raise UserError("there are no .md or .txt files to answer from: name a folder with --documents")
        if hits[0][0] < SURE:
            hits = max(hits, self.retrieve(self.say(REWRITE, question)))  # by the first passage's score
        passages = "\n\n".join(f"[{i}] {text}" for i, (_, _, text) in enumerate(hits, 1))
        sources = "\n".join(f"[{i}] {score:.2f} {name}" for i, (score, name, _) in enumerate(hits, 1))
        return self.say(ANSWER, f"{passages}\n\nQuestion: {question}") + f"\n\n{sources}"

    def say(self, system: str, text: str) -> str:
        """The chat model's reply."""
        turns: list[Any] = [{"role": "user", "content": text}]
        reply = self.client.messages.create(model=self.model, max_tokens=120, system=system, messages=turns)
        return "".join(block.text for block in reply.content).strip()


def chunks(text: str) -> list[str]:
    """Windows of `SIZE` characters, each of which repeats the last `OVERLAP` of the one before."""
    starts = range(0, max(1, len(text) - OVERLAP), SIZE - OVERLAP)
    return [text[start : start + SIZE] for start in starts]


def main(question: Annotated[str, typer.Argument()] = QUESTION, documents: Path = DOCUMENTS) -> None:
    """Answer a question from documents."""
    settings = load_settings()
    rag = Rag(documents, load_embedder(settings=settings), chat_client(settings=settings), settings.model)
    print(rag.ask(question))


if __name__ == "__main__":
    run_main(main, "python -m step3_rag.minimal")
