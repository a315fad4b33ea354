"""A small Pinecone index on loopback: the data-plane calls that our store makes, over plain HTTP.

    with FakePinecone(dimension=8) as server:
        pinecone.Pinecone(api_key="...").Index(host=server.address)

As in Pinecone's OpenAPI description of 2025-04: /vectors/upsert, /query, /vectors/list, /vectors/delete and
/describe_index_stats, errors as {"code", "message", "details"}. Its documented limits hold: 2 MB and 1,000
records an upsert, 1,000 ids a delete, 10,000 results, 40 KB of metadata without nulls, no vector of zeros,
and counts that lag behind. It is strict: a field that it has no meaning for is refused, and so is a request
without a namespace, which our stores always give.
"""

import http.server
import json
import threading
from urllib.parse import parse_qsl, urlsplit

import numpy as np

VERSION = "2025-04"
UPSERT, RECORD = {"vectors", "namespace"}, {"id", "values", "metadata"}
QUERY = {"vector", "topK", "namespace", "filter", "includeMetadata", "includeValues"}
DELETE = {"ids", "deleteAll", "namespace"}


class RefusedError(Exception):
    """What is answered with an error: the HTTP status, the code of gRPC, and what it says."""

    def __init__(self, message, status=400, code=3):
        super().__init__(message)
        self.status, self.code = status, code


def only(body, known, what):
    if unknown := set(body) - known:
        raise RefusedError(f"{what}: Cannot find field: {sorted(unknown)[0]}")
    return body


class FakePinecone:
    """The server; `namespaces` is what it holds: name -> id -> (values, metadata)."""

    def __init__(self, dimension, key="open sesame", metric="cosine"):
        self.dimension, self.key, self.metric = dimension, key, metric
        self.namespaces = {}
        self.lag = 0  # answers to describe_index_stats that still know nothing of the last write
        self._counted = {}

    def __enter__(self):
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()

    def answer(self, path, body):
        """The JSON of a reply."""
        calls = {
            "/vectors/list": self.list,
            "/vectors/upsert": self.upsert,
            "/query": self.query,
            "/vectors/delete": self.delete,
            "/describe_index_stats": self.stats,
        }
        if path not in calls:
            raise RefusedError("Not Found", 404, 5)
        if path != "/describe_index_stats" and not body.get("namespace"):
            raise RefusedError("no namespace was given")
        return calls[path](body)

    def upsert(self, body):
        only(body, UPSERT, "UpsertRequest")
        if not 0 < len(body["vectors"]) <= 1000:
            raise RefusedError("The number of vectors in an upsert must be from 1 to 1000")
        for each in body["vectors"]:
            self._check(only(each, RECORD, "Vector"))
        held = self.namespaces.setdefault(body["namespace"], {})
        for each in body["vectors"]:
            held[each["id"]] = (np.array(each["values"], np.float32), each.get("metadata", {}))
        return {"upsertedCount": len(body["vectors"])}

    def _check(self, record):
        if not isinstance(record["id"], str) or not 0 < len(record["id"]) <= 512:
            raise RefusedError("Vector ID must be a string of 1 to 512 characters")
        self._fits(record["values"])
        metadata = record.get("metadata", {})
        if len(json.dumps(metadata)) > 40960:
            raise RefusedError("metadata size exceeds the limit of 40960 bytes per vector")
        for name, value in metadata.items():
            texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
            if not (texts or isinstance(value, (str, int, float))):
                raise RefusedError(
                    "Metadata value must be a string, number, boolean or list of strings, "
                    f"got '{json.dumps(value)}' for field '{name}'"
                )

    def _fits(self, values):
        if len(values) != self.dimension:
            raise RefusedError(
                f"Vector dimension {len(values)} does not match the dimension of the index {self.dimension}"
            )
        if not any(values):
            raise RefusedError("Dense vectors must contain at least one non-zero value.")

    def query(self, body):
        only(body, QUERY, "QueryRequest")
        self._fits(body["vector"])
        if not 1 <= body["topK"] <= 10000:
            raise RefusedError("topK must be from 1 to 10000")
        query = np.array(body["vector"], np.float32)
        held = self.namespaces.get(body["namespace"], {})
        found = [
            (float(values @ query / np.linalg.norm(values) / np.linalg.norm(query)), one, metadata)
            for one, (values, metadata) in held.items()
            if passes(body.get("filter"), metadata)
        ]
        matches = []
        for score, one, metadata in sorted(found, key=lambda each: -each[0])[: body["topK"]]:
            match = {"id": one, "score": score, "values": []}
            matches.append(match | ({"metadata": metadata} if body.get("includeMetadata") else {}))
        return {"results": [], "matches": matches, "namespace": body["namespace"], "usage": {"readUnits": 1}}

    def delete(self, body):
        only(body, DELETE, "DeleteRequest")
        if ("ids" in body) == bool(body.get("deleteAll")):
            raise RefusedError("Exactly one of ids, deleteAll and filter must be given")
        if body["namespace"] not in self.namespaces:
            raise RefusedError("Namespace not found", 404, 5)
        if body.get("deleteAll"):
            del self.namespaces[body["namespace"]]
            return {}
        if not 0 < len(body["ids"]) <= 1000:
            raise RefusedError("The number of ids in a delete must be from 1 to 1000")
        for each in body["ids"]:
            self.namespaces[body["namespace"]].pop(each, None)
        return {}

    def list(self, query):
        """At most 100 ids a page, as documented; the token is where the next page begins."""
        only(query, {"namespace", "limit", "paginationToken"}, "ListRequest")
        ids, start = sorted(self.namespaces.get(query["namespace"], {})), int(query.get("paginationToken", 0))
        page = {"vectors": [{"id": each} for each in ids[start : start + 100]], "usage": {"readUnits": 1}}
        page["namespace"] = query["namespace"]
        return page | ({"pagination": {"next": str(start + 100)}} if start + 100 < len(ids) else {})

    def stats(self, body):
        only(body, {"filter"}, "DescribeIndexStatsRequest")
        if self.lag:
            self.lag -= 1
        else:
            self._counted = {name: {"vectorCount": len(held)} for name, held in self.namespaces.items()}
        return {
            "namespaces": self._counted,
            "dimension": self.dimension,
            "indexFullness": 0,
            "totalVectorCount": sum(each["vectorCount"] for each in self._counted.values()),
            "metric": self.metric,
            "vectorType": "dense",
        }


def passes(conditions, metadata):
    """Whether a filter lets a record through; of the operators, `$in` is known."""
    for name, condition in (conditions or {}).items():
        if list(condition) != ["$in"] or not isinstance(condition["$in"], list):
            raise RefusedError(f"illegal condition for field {name}, got {json.dumps(condition)}")
        if metadata.get(name) not in condition["$in"]:
            return False
    return True


def handler_of(server):
    """The server as a class that http.server wants."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two would wait 40 ms for each other

        def do_GET(self):
            url = urlsplit(self.path)
            self._answer(url.path, json.dumps(dict(parse_qsl(url.query))).encode())

        def do_POST(self):
            self._answer(self.path, self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def _answer(self, path, body):
            try:
                if self.headers.get("Api-Key") != server.key:
                    raise RefusedError("Invalid API Key", 401, 16)
                if self.headers.get("X-Pinecone-API-Version") != VERSION:
                    raise RefusedError(f"this stand-in speaks {VERSION}")
                if len(body) > 2 * 1024 * 1024:
                    raise RefusedError("message length too large: found more than 2097152 bytes", 400, 11)
                self._send(200, server.answer(path, json.loads(body or b"{}")))
            except RefusedError as error:
                self._send(error.status, {"code": error.code, "message": str(error), "details": []})

        def _send(self, status, found):
            data = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    return Handler
