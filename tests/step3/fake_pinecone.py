"""A small Pinecone index on loopback: the data-plane calls that our store makes, over plain HTTP.

    with FakePinecone(dimension=8) as server:
        pinecone.Pinecone(api_key="...").Index(host=server.address)

As in Pinecone's OpenAPI description of 2025-04: /vectors/upsert, /query, /vectors/list, /vectors/delete and
/describe_index_stats, errors as {"code", "message", "details"}; the replies have what our store reads. Its
documented limits hold: 2 MB and 1,000 records an upsert, 1,000 ids a delete, 100 ids a page of a list.
"""

import json
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from tests.step3.fake_http import JsonServer, RefusedError


class FakePinecone(JsonServer):
    """The server; `namespaces` is name -> id -> (values, metadata)."""

    def __init__(self, dimension, key="open sesame", metric="cosine"):
        self.dimension, self.key, self.metric = dimension, key, metric
        self.namespaces = {}

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def error(self, refused):
        return {"code": 3, "message": str(refused), "details": []}

    def answer(self, _method, path, body, headers):
        """The JSON of a reply."""
        if headers.get("Api-Key") != self.key:
            raise RefusedError("Invalid API Key", 401)
        if len(body) > 2 * 1024 * 1024:
            raise RefusedError("message length too large: found more than 2097152 bytes", 400)
        url = urlsplit(path)
        given = json.loads(body or b"{}") | dict(parse_qsl(url.query))
        if url.path == "/describe_index_stats":
            return self.stats()
        held = self.namespaces.get(given["namespace"], {})
        calls = {
            "/vectors/list": self.list,
            "/vectors/upsert": self.upsert,
            "/query": self.query,
            "/vectors/delete": self.delete,
        }
        return calls[url.path](given, held)

    def upsert(self, body, _held):
        if not 0 < len(body["vectors"]) <= 1000:
            raise RefusedError("The number of vectors in an upsert must be from 1 to 1000", 400)
        held = self.namespaces.setdefault(body["namespace"], {})
        for each in body["vectors"]:
            assert len(each["values"]) == self.dimension
            held[each["id"]] = (np.array(each["values"], np.float32), each.get("metadata", {}))
        return {"upsertedCount": len(body["vectors"])}

    def query(self, body, held):
        query = np.array(body["vector"], np.float32)
        found = [
            (float(values @ query / np.linalg.norm(values) / np.linalg.norm(query)), one)
            for one, (values, metadata) in held.items()
            if all(metadata[name] in among["$in"] for name, among in (body.get("filter") or {}).items())
        ]
        best = sorted(found, key=lambda each: -each[0])[: body["topK"]]
        return {"matches": [{"id": one, "score": score} for score, one in best]}

    def delete(self, body, held):
        if body["namespace"] not in self.namespaces:
            raise RefusedError("Namespace not found", 404)
        if not 0 < len(body["ids"]) <= 1000:
            raise RefusedError("The number of ids in a delete must be from 1 to 1000", 400)
        for each in body["ids"]:
            held.pop(each, None)
        return {}

    def list(self, query, held):
        """At most 100 ids a page, as documented; the token is where the next page begins."""
        ids, start = sorted(held), int(query.get("paginationToken", 0))
        page = {"vectors": [{"id": each} for each in ids[start : start + 100]]}
        return page | ({"pagination": {"next": str(start + 100)}} if start + 100 < len(ids) else {})

    def stats(self):
        counts = {name: {"vectorCount": len(held)} for name, held in self.namespaces.items()}
        return {"namespaces": counts, "metric": self.metric}
