"""Weaviate: a server, over REST and gRPC. Its key, where it wants one, comes from WEAVIATE_API_KEY.

    $ docker run -p 8080:8080 -p 50051:50051 cr.weaviate.io/semitechnologies/weaviate
    $ pip install -c constraints.txt ".[weaviate]"
    $ python -m step3_rag search "When does it renew?" --store weaviate --address http://localhost:8080

Its gRPC port is taken to be 50051; another is named behind the address: `http://localhost:8080?grpc=50061`.
"""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import grpc
import httpx
import weaviate
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore
from langchain_weaviate import WeaviateVectorStore
from weaviate.classes.data import DataObject
from weaviate.classes.init import AdditionalConfig, Auth, Timeout
from weaviate.classes.query import Filter, MetadataQuery
from weaviate.exceptions import WeaviateBaseError, WeaviateBatchError

from shared.errors import UserError
from step3_rag.ingest.embed import Embedder
from step3_rag.stores.common import CONNECT, READ, Address, collection_of, unreachable

ERRORS: tuple[type[Exception], ...] = (WeaviateBaseError, httpx.HTTPError, grpc.RpcError)
AT_ONCE = 500  # objects in a message, which a server takes up to some megabytes
HERE = "http://localhost:8080"
CLOUD = "weaviate.cloud"  # where gRPC has a name of its own instead of a port
ADVICE = "start one with `docker run -p 8080:8080 -p 50051:50051 cr.weaviate.io/semitechnologies/weaviate`"


class Weaviate(WeaviateVectorStore):
    """LangChain's Weaviate, asked for nearest neighbours and their cosine.

    LangChain's own asks for a hybrid search, whose score is a blend scaled to 0..1; when it adds, it goes on
    though objects were refused, and waits a second for more. Weaviate's ids are UUIDs: here one is derived
    from the chunk's number, and the number is kept beside it.
    """

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        tenant: str | None = None,
        **more: Any,
    ) -> list[str]:
        """Add or replace; `ids` are the numbers of the chunks."""
        assert self._embedding is not None
        texts, ids = list(texts), more["ids"]
        vectors = self._embedding.embed_documents(texts)
        objects = [
            DataObject({**facts, self._text_key: text, "chunk": int(each)}, uuid_of(each), vector)
            for each, text, facts, vector in zip(
                ids, texts, metadatas or [{}] * len(ids), vectors, strict=True
            )
        ]
        with self._tenant_context(tenant) as collection:
            for start in range(0, len(objects), AT_ONCE):
                reply = collection.data.insert_many(objects[start : start + AT_ONCE])
                if reply.has_errors:
                    first = next(iter(reply.errors.values()))
                    raise WeaviateBatchError(f"{len(reply.errors)} chunks refused: {first.message}")
        return list(ids)

    def delete(self, ids: list[str] | None = None, tenant: str | None = None, **more: Any) -> None:
        super().delete([uuid_of(each) for each in ids or []], tenant, **more)

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: dict[str, Any] | None = None, **more: Any
    ) -> list[tuple[Document, float]]:
        """The k nearest and their cosines; `filter` as Chroma takes it: {"collection": {"$in": [...]}}."""
        assert self._embedding is not None
        among = [
            Filter.by_property(name).contains_any(condition["$in"])
            for name, condition in (filter or {}).items()
        ]
        found = self._collection.query.near_vector(
            self._embedding.embed_query(query),
            limit=k,
            filters=Filter.all_of(among) if among else None,
            return_metadata=MetadataQuery(distance=True),
            **more,
        )
        return [
            (_document(each.properties, self._text_key), 1.0 - (each.metadata.distance or 0.0))
            for each in found.objects
        ]

    def similarity_search(self, query: str, k: int = 4, **more: Any) -> list[Document]:
        return [found for found, _ in self.similarity_search_with_score(query, k, **more)]


def _document(properties: Any, text_key: str) -> Document:
    facts = dict(properties)
    number = facts.pop("chunk")
    return Document(id=str(int(number)), page_content=facts.pop(text_key), metadata=facts)


def uuid_of(chunk: str) -> str:
    """The id of a chunk: always the same for a number, as adding it once more must replace it."""
    return str(uuid5(NAMESPACE_OID, f"chunk {chunk}"))


def schema(collection: str) -> dict[str, Any]:
    """How a collection is kept; a name of a document or collection is one word, not several."""
    name = {"dataType": ["text"], "tokenization": "field", "indexSearchable": False}
    return {
        "class": collection,
        "vectorizer": "none",
        "vectorIndexType": "hnsw",
        "vectorIndexConfig": {"distance": "cosine"},
        "properties": [
            {"name": "text", "dataType": ["text"], "indexFilterable": False, "indexSearchable": False},
            {"name": "document", **name},
            {"name": "collection", **name},
            {"name": "chunk", "dataType": ["int"]},
        ],
    }


def connect(folder: Path, embedder: Embedder, address: str | None) -> VectorStore:
    """The collection of an index; made, where there is none."""
    collection = collection_of(folder)
    client = _client(Address.read(address or HERE, 8080))
    store = Weaviate(client, collection, "text", embedder, schema(collection))
    weakref.finalize(store, client.close)
    return store


def _client(at: Address) -> weaviate.WeaviateClient:
    key = os.environ.get("WEAVIATE_API_KEY")
    more: dict[str, Any] = {
        "auth_credentials": Auth.api_key(key) if key else None,
        "additional_config": AdditionalConfig(timeout=Timeout(init=CONNECT, query=READ, insert=READ)),
        "skip_init_checks": True,  # they ask PyPI for a newer client
    }
    port = _grpc_port(at)
    try:
        httpx.get(f"{at.url}/v1/.well-known/ready", timeout=CONNECT).raise_for_status()
        if at.host.endswith(CLOUD):
            return weaviate.connect_to_weaviate_cloud(at.host, **more)
        socket.create_connection((at.host, port), CONNECT).close()  # gRPC itself would try for a minute
        return weaviate.connect_to_custom(at.host, at.port, at.secure, at.host, port, at.secure, **more)
    except (*ERRORS, OSError) as error:
        raise unreachable("Weaviate", at.url, error, ADVICE) from None


def _grpc_port(at: Address) -> int:
    named = at.options.get("grpc", "50051")
    if not named.isdecimal() or not 0 < int(named) < 65536 or int(named) == at.port:
        raise UserError(f"grpc={named} in --address is no port of its own: write it like {HERE}?grpc=50051")
    return int(named)


def count(store: VectorStore, expected: int) -> int:  # noqa: ARG001 (a Weaviate knows at once)
    """How many chunks are in it."""
    return _weaviate(store)._collection.aggregate.over_all(total_count=True).total_count or 0


def empty(store: VectorStore) -> None:
    """Take everything out."""
    found = _weaviate(store)
    found._client.collections.delete(found._index_name)
    found._client.collections.create_from_dict(found.schema)


def _weaviate(store: VectorStore) -> Weaviate:
    assert isinstance(store, Weaviate)
    return store
