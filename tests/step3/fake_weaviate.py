"""A small Weaviate on loopback: the REST and gRPC calls that its client makes for us, and no others.

    with FakeWeaviate() as server:
        weaviate.connect_to_custom("127.0.0.1", server.port, False, "127.0.0.1", server.grpc_port, False)

REST as in Weaviate's OpenAPI description (schema and meta), gRPC by the stubs that come with the client.
It is strict: a field that it has no meaning for, a property that is not in the schema, an id that is no UUID
or a vector of another width is refused, as Weaviate does, so that a test can't pass on what a server would
not take. Texts are cut into words or kept whole as the schema says.
"""

import copy
import http.server
import json
import re
import struct
import threading
import uuid
from concurrent import futures

import grpc
import numpy as np
from weaviate.proto.v1 import (
    aggregate_pb2,
    base_pb2,
    batch_delete_pb2,
    batch_pb2,
    properties_pb2,
    search_get_pb2,
    weaviate_pb2_grpc,
)

VERSION = "1.34.0"
CLASS_FIELDS = {
    "class", "description", "vectorizer", "vectorIndexType", "vectorIndexConfig", "properties",
    "invertedIndexConfig", "moduleConfig", "multiTenancyConfig", "replicationConfig", "shardingConfig",
}  # fmt: skip
PROPERTY_FIELDS = {
    "name", "dataType", "description", "tokenization", "indexFilterable", "indexSearchable",
    "indexRangeFilters", "moduleConfig", "nestedProperties",
}  # fmt: skip
TOKENS = {"word": lambda text: re.findall(r"\w+", text.lower()), "field": lambda text: [text.strip()]}
# What a server adds to the schema that it was given.
DEFAULTS = {
    "invertedIndexConfig": {
        "bm25": {"b": 0.75, "k1": 1.2},
        "cleanupIntervalSeconds": 60,
        "stopwords": {"additions": None, "preset": "en", "removals": None},
    },
    "multiTenancyConfig": {"autoTenantActivation": False, "autoTenantCreation": False, "enabled": False},
    "replicationConfig": {"asyncEnabled": False, "deletionStrategy": "NoAutomatedResolution", "factor": 1},
    "shardingConfig": {
        "actualCount": 1, "actualVirtualCount": 128, "desiredCount": 1, "desiredVirtualCount": 128,
        "function": "murmur3", "key": "_id", "strategy": "hash", "virtualPerPhysical": 128,
    },
    "vectorIndexType": "hnsw",
    "vectorizer": "none",
}  # fmt: skip
HNSW = {
    "cleanupIntervalSeconds": 300, "distance": "cosine", "dynamicEfFactor": 8, "dynamicEfMax": 500,
    "dynamicEfMin": 100, "ef": -1, "efConstruction": 128, "filterStrategy": "sweeping",
    "flatSearchCutoff": 40000, "maxConnections": 32, "pq": {"enabled": False, "bitCompression": False,
    "centroids": 256, "encoder": {"distribution": "log-normal", "type": "kmeans"}, "segments": 0,
    "trainingLimit": 100000}, "skip": False, "vectorCacheMaxObjects": 1000000000000,
}  # fmt: skip


class RefusedError(Exception):
    """What the server answers with an error; the text is what it says."""


class Collection:
    """A class of the schema, with its objects: uuid -> (properties, vector)."""

    def __init__(self, schema):
        unknown = set(schema) - CLASS_FIELDS
        if unknown or not re.fullmatch(r"[A-Z][_0-9A-Za-z]*", schema.get("class", "")):
            raise RefusedError(f"'{schema.get('class')}' is not a valid class name, or unknown {unknown}")
        self.schema = copy.deepcopy({**DEFAULTS, **schema})
        self.schema["vectorIndexConfig"] = {**HNSW, **schema.get("vectorIndexConfig", {})}
        if self.schema["vectorIndexConfig"]["distance"] != "cosine":
            raise RefusedError("this stand-in knows cosine only")
        for each in self.schema.setdefault("properties", []):
            if set(each) - PROPERTY_FIELDS:
                raise RefusedError(f"unknown fields in property: {set(each) - PROPERTY_FIELDS}")
            text = each["dataType"] == ["text"]
            if not text and "tokenization" in each:
                raise RefusedError(f"Tokenization is not allowed for data type '{each['dataType'][0]}'")
            each.setdefault("indexFilterable", True)
            each.setdefault("indexSearchable", text)
            if text:
                each.setdefault("tokenization", "word")
        self.objects = {}

    def property(self, name):
        found = [each for each in self.schema["properties"] if each["name"] == name]
        if not found:
            raise RefusedError(f"no such prop with name '{name}' found in class '{self.schema['class']}'")
        return found[0]

    def put(self, request):
        """One object of a batch."""
        known = {"collection", "uuid", "properties", "vector_bytes"}
        fields_only(request, known)
        fields_only(request.properties, {"non_ref_properties"})
        if str(uuid.UUID(request.uuid)) != request.uuid:
            raise RefusedError(f"invalid UUID {request.uuid}")
        vector = np.frombuffer(request.vector_bytes, "<f4")
        width = next((len(vector) for _, vector in self.objects.values()), len(vector))
        if len(vector) != width or not width:
            raise RefusedError(f"new node has a vector with length {len(vector)}, existing ones have {width}")
        properties = dict(request.properties.non_ref_properties)
        for name, value in properties.items():
            kind = self.property(name)["dataType"]
            if not (isinstance(value, str) if kind == ["text"] else kind == ["int"] and value == int(value)):
                raise RefusedError(f"invalid {kind[0]} property '{name}' on class '{self.schema['class']}'")
        self.objects[request.uuid] = (properties, vector)

    def matching(self, filters):
        """The ids that a filter lets through."""
        if filters is None:
            return list(self.objects)
        if filters.operator in (base_pb2.Filters.OPERATOR_AND, base_pb2.Filters.OPERATOR_OR):
            fields_only(filters, {"operator", "filters"})
            each = [set(self.matching(part)) for part in filters.filters]
            both = set.intersection if filters.operator == base_pb2.Filters.OPERATOR_AND else set.union
            return [one for one in self.objects if one in both(*each)]
        fields_only(filters, {"operator", "value_text_array", "target"})
        if filters.operator != base_pb2.Filters.OPERATOR_CONTAINS_ANY or not filters.value_text_array.values:
            raise RefusedError("this stand-in knows ContainsAny of texts only")
        values, name = list(filters.value_text_array.values), filters.target.property
        if name == "_id":
            return [one for one in self.objects if one in {str(uuid.UUID(each)) for each in values}]
        schema = self.property(name)
        if not schema["indexFilterable"]:
            raise RefusedError(f"Filtering by property '{name}' requires inverted index")
        cut = TOKENS[schema["tokenization"]]
        return [
            one
            for one, (properties, _) in self.objects.items()
            if any(set(cut(value)) <= set(cut(properties.get(name, ""))) for value in values)
        ]

    def listed(self, request):
        """The reply to a walk over all objects, in the order of their ids."""
        known = {"collection", "metadata", "properties", "limit", "after"}
        fields_only(request, known | {"uses_123_api", "uses_125_api", "uses_127_api"})
        ids = [one for one in sorted(self.objects) if one > request.after][: request.limit or 10]
        return search_get_pb2.SearchReply(took=0.001, results=[self._result(one, 0.0) for one in ids])

    def nearest(self, request):
        """The reply to a search by vector."""
        fields_only(
            request,
            {"collection", "metadata", "properties", "limit", "filters", "near_vector",
             "uses_123_api", "uses_125_api", "uses_127_api"},
        )  # fmt: skip
        fields_only(request.near_vector, {"vectors"})
        fields_only(request.metadata, {"uuid", "distance"})
        (wanted,) = request.near_vector.vectors
        query = np.frombuffer(wanted.vector_bytes, "<f4")
        ids = self.matching(request.filters if request.HasField("filters") else None)
        if not ids:
            return search_get_pb2.SearchReply(took=0.001)
        vectors = np.stack([self.objects[each][1] for each in ids])
        if vectors.shape[1] != len(query):
            raise RefusedError(
                f"vector lengths don't match: query has {len(query)}, the class has {vectors.shape[1]}"
            )
        distances = 1 - vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
        best = np.argsort(distances, kind="stable")[: request.limit or 10]
        return search_get_pb2.SearchReply(
            took=0.001, results=[self._result(ids[row], float(distances[row])) for row in best]
        )

    def _result(self, one, distance):
        fields = {
            name: properties_pb2.Value(
                **({"text_value": value} if isinstance(value, str) else {"int_value": int(value)})
            )
            for name, value in self.objects[one][0].items()
        }
        return search_get_pb2.SearchResult(
            properties=search_get_pb2.PropertiesResult(
                target_collection=self.schema["class"],
                non_ref_props=properties_pb2.Properties(fields=fields),
            ),
            metadata=search_get_pb2.MetadataResult(
                id=one, id_as_bytes=uuid.UUID(one).bytes, distance=distance, distance_present=True
            ),
        )


def fields_only(message, known):
    """Refuse a message that says something whose meaning nobody here knows."""
    unknown = {field.name for field, _ in message.ListFields()} - known
    if unknown:
        raise RefusedError(f"{type(message).__name__}: {', '.join(sorted(unknown))} not known here")


class FakeWeaviate(weaviate_pb2_grpc.WeaviateServicer):
    """The server; `collections` is what it holds, `refuse` an error for the next batch's first object."""

    def __init__(self, key=None):
        self.collections, self.key, self.refuse = {}, key, None

    def __enter__(self):
        self._rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.port = self._rest.server_port
        threading.Thread(target=self._rest.serve_forever, args=(0.05,), daemon=True).start()
        self._grpc = grpc.server(futures.ThreadPoolExecutor(4))
        weaviate_pb2_grpc.add_WeaviateServicer_to_server(self, self._grpc)
        self.grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        return self

    def __exit__(self, *_):
        self._grpc.stop(0)
        self._rest.shutdown()
        self._rest.server_close()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}?grpc={self.grpc_port}"

    # --- REST ---------------------------------------------------------------------------------------

    def answer(self, method, path, body):
        """Status and JSON of a REST call."""
        if (method, path) == ("GET", "/v1/meta"):
            return 200, {"hostname": "http://[::]:8080", "modules": {}, "version": VERSION}
        if (method, path) == ("POST", "/v1/schema"):
            made = Collection(body)
            if made.schema["class"] in self.collections:
                raise RefusedError(f"class name {made.schema['class']} already exists")
            self.collections[made.schema["class"]] = made
            return 200, made.schema
        name = path.removeprefix("/v1/schema/")
        if method == "GET" and name in self.collections:
            return 200, self.collections[name].schema
        if method == "DELETE" and path.startswith("/v1/schema/"):
            self.collections.pop(name, None)
            return 200, None
        return 404, None

    # --- gRPC ---------------------------------------------------------------------------------------

    def _admit(self, context):
        said = {(each.key, each.value) for each in context.invocation_metadata()}
        if self.key and ("authorization", f"Bearer {self.key}") not in said:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "extract auth: unauthenticated")

    def _in(self, request, context, work):
        self._admit(context)
        if request.collection not in self.collections:
            text = f"could not find class {request.collection} in schema"
            context.abort(grpc.StatusCode.UNKNOWN, text)
        try:
            return work(self.collections[request.collection])
        except (RefusedError, ValueError, struct.error) as error:
            return context.abort(grpc.StatusCode.UNKNOWN, str(error))

    def Search(self, request, context):
        def work(collection):
            return (
                collection.nearest(request) if request.HasField("near_vector") else collection.listed(request)
            )

        return self._in(request, context, work)

    def Aggregate(self, request, context):
        def work(collection):
            fields_only(request, {"collection", "objects_count"})
            single = aggregate_pb2.AggregateReply.Single(objects_count=len(collection.objects))
            return aggregate_pb2.AggregateReply(took=0.001, single_result=single)

        return self._in(request, context, work)

    def BatchDelete(self, request, context):
        def work(collection):
            fields_only(request, {"collection", "filters"})
            gone = collection.matching(request.filters)
            for each in gone:
                del collection.objects[each]
            return batch_delete_pb2.BatchDeleteReply(took=0.001, matches=len(gone), successful=len(gone))

        return self._in(request, context, work)

    def BatchObjects(self, request, context):
        self._admit(context)
        errors = []
        fields_only(request, {"objects"})
        for place, each in enumerate(request.objects):
            try:
                if self.refuse:
                    refused, self.refuse = self.refuse, None
                    raise RefusedError(refused)
                if each.collection not in self.collections:
                    raise RefusedError(f"could not find class {each.collection} in schema")
                self.collections[each.collection].put(each)
            except (RefusedError, ValueError) as error:
                errors.append(batch_pb2.BatchObjectsReply.BatchError(index=place, error=str(error)))
        return batch_pb2.BatchObjectsReply(took=0.001, errors=errors)


def handler_of(server):
    """The REST side, as a class that http.server wants."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two would wait 40 ms for each other

        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/v1/.well-known/ready":  # anybody may ask
                return self._send(200, None)
            if server.key and self.headers.get("Authorization") != f"Bearer {server.key}":
                return self._send(401, {"error": [{"message": "anonymous access not enabled"}]})
            try:
                status, found = server.answer(self.command, self.path, json.loads(body) if body else None)
            except RefusedError as error:
                status, found = 422, {"error": [{"message": str(error)}]}
            return self._send(status, found)

        def _send(self, status, found):
            data = b"" if found is None else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *_):
            pass

    return Handler
