"""Weaviate: a server, over REST and gRPC. If it needs a key, that comes from WEAVIATE_API_KEY.

    $ docker run -p 8080:8080 -p 50051:50051 cr.weaviate.io/semitechnologies/weaviate
    $ pip install -c constraints.txt ".[weaviate]"
    $ python -m step3_rag search "When does it renew?" --store weaviate --address http://localhost:8080

Its gRPC port is 50051, or the one in the address: `http://localhost:8080?grpc=50061`.
"""

import os
import socket
import weakref
from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import grpc
import httpx
import numpy as np
import weaviate
from weaviate.classes.data import DataObject
from weaviate.classes.init import AdditionalConfig, Auth, Timeout
from weaviate.classes.query import Filter, MetadataQuery
from weaviate.exceptions import WeaviateBaseError, WeaviateBatchError

from shared.errors import UserError
from step3_rag.ingest.index import Chunk, Index
from step3_rag.stores import vector_store

HERE = "http://localhost:8080"
CLOUD = "weaviate.cloud"  # here gRPC has its own host instead of a port
ADVICE = "start one with `docker run -p 8080:8080 -p 50051:50051 cr.weaviate.io/semitechnologies/weaviate`"

PROPERTIES = [
    {"name": "chunk", "dataType": ["int"]},
    # Matched as a whole, not by its words.
    {"name": "collection", "dataType": ["text"], "tokenization": "field", "indexSearchable": False},
]


class Store(vector_store.ChunkStore):
    """A collection on a server, created if necessary."""

    name = "weaviate"
    errors = (WeaviateBaseError, httpx.HTTPError, grpc.RpcError, OSError)
    batch = 500

    def __init__(self, index: Index, address: str | None) -> None:
        self.client = _connect(address or HERE)
        weakref.finalize(self, self.client.close)
        collection = vector_store.collection_name(index)
        if not self.client.collections.exists(collection):
            schema = {"class": collection, "vectorizer": "none", "properties": PROPERTIES}
            self.client.collections.create_from_dict(schema)  # its distance is cosine by default
        self.collection: Any = self.client.collections.get(collection)

    def upsert(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        objects = [
            DataObject({"chunk": chunk.id, "collection": chunk.collection}, _uuid(chunk.id), vector.tolist())
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]
        reply = self.collection.data.insert_many(objects)
        if reply.has_errors:
            first = next(iter(reply.errors.values()))
            raise WeaviateBatchError(f"{len(reply.errors)} chunks refused: {first.message}")

    def delete(self, ids: Sequence[int]) -> None:
        self.collection.data.delete_many(Filter.by_id().contains_any([_uuid(id) for id in ids]))

    def nearest(self, vector: np.ndarray, k: int, collections: Sequence[str] = ()) -> dict[int, float]:
        result = self.collection.query.near_vector(
            vector.tolist(),
            limit=k,
            filters=Filter.by_property("collection").contains_any(list(collections)) if collections else None,
            return_metadata=MetadataQuery(distance=True),
            return_properties=["chunk"],
        )
        return {int(match.properties["chunk"]): 1.0 - match.metadata.distance for match in result.objects}

    def ids(self) -> set[int]:
        objects = self.collection.iterator(return_properties=["chunk"])
        return {int(chunk.properties["chunk"]) for chunk in objects}

    def count(self) -> int:
        return int(self.collection.aggregate.over_all(total_count=True).total_count or 0)


def _uuid(chunk: int) -> str:
    """The UUID of a chunk's id, since Weaviate's ids are UUIDs."""
    return str(uuid5(NAMESPACE_OID, f"chunk {chunk}"))


def _connect(address: str) -> weaviate.WeaviateClient:
    key = os.environ.get("WEAVIATE_API_KEY")
    timeout = Timeout(init=vector_store.CONNECT, query=vector_store.READ, insert=vector_store.READ)
    more: dict[str, Any] = {
        "auth_credentials": Auth.api_key(key) if key else None,
        "additional_config": AdditionalConfig(timeout=timeout),
        "skip_init_checks": True,  # they ask PyPI for a newer client
    }
    url = vector_store.reach("Weaviate", address, 8080, "/v1/.well-known/ready", ADVICE)
    port = url.params.get("grpc", "50051")
    secure = url.scheme == "https"
    if not port.isdecimal() or int(port) > 65535:
        raise UserError(f"grpc={port} in --address is not a port: write it like {HERE}?grpc=50051")
    if url.host.endswith(CLOUD):
        return weaviate.connect_to_weaviate_cloud(url.host, **more)
    # gRPC would retry a closed port for a minute.
    socket.create_connection((url.host, int(port)), vector_store.CONNECT).close()
    return weaviate.connect_to_custom(url.host, url.port or 443, secure, url.host, int(port), secure, **more)
