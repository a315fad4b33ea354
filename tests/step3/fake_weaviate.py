"""A small Weaviate on loopback: the REST and gRPC calls that its client makes for us, and no others.

    with FakeWeaviate() as server:
        weaviate.connect_to_custom("127.0.0.1", server.port, False, "127.0.0.1", server.grpc_port, False)

REST as in Weaviate's OpenAPI description (schema and meta), gRPC by the client's stubs. Like a real server,
it refuses properties that are not in the schema.
"""

import json
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

from tests.step3.fake_http import JsonServer, RefusedError


class Collection:
    """A class of the schema, with its objects: uuid -> (properties, vector)."""

    def __init__(self, schema):
        self.schema = schema
        self.properties = {each["name"]: each for each in schema["properties"]}
        self.objects = {}

    def put(self, request):
        """One object of a batch."""
        properties = dict(request.properties.non_ref_properties)
        if unknown := properties.keys() - self.properties.keys():
            raise RefusedError(f"no such prop with name '{unknown.pop()}' found in the class")
        self.objects[str(uuid.UUID(request.uuid))] = properties, np.frombuffer(request.vector_bytes, "<f4")

    def matching(self, filters):
        """The ids that a filter lets through: ContainsAny of texts."""
        assert filters.operator == base_pb2.Filters.OPERATOR_CONTAINS_ANY
        values, name = list(filters.value_text_array.values), filters.target.property
        if name == "_id":
            return [one for one in self.objects if one in values]
        assert self.properties[name]["tokenization"] == "field"  # by default, a text is matched by its words
        return [one for one, (properties, _) in self.objects.items() if properties.get(name) in values]

    def search(self, request):
        """The nearest to a vector; without one, the next of a walk over all, in the order of their ids."""
        if not request.HasField("near_vector"):
            ids = [one for one in sorted(self.objects) if one > request.after][: request.limit or 10]
            return [self._result(one, 0.0) for one in ids]
        query = np.frombuffer(request.near_vector.vectors[0].vector_bytes, "<f4")
        ids = self.matching(request.filters) if request.HasField("filters") else list(self.objects)
        if not ids:
            return []
        vectors = np.stack([self.objects[each][1] for each in ids])
        distances = 1 - vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
        best = np.argsort(distances, kind="stable")[: request.limit or 10]
        return [self._result(ids[row], float(distances[row])) for row in best]

    def _result(self, one, distance):
        """The one property that our store asks for: the chunk's number."""
        fields = {"chunk": properties_pb2.Value(int_value=int(self.objects[one][0]["chunk"]))}
        return search_get_pb2.SearchResult(
            properties=search_get_pb2.PropertiesResult(
                target_collection=self.schema["class"], non_ref_props=properties_pb2.Properties(fields=fields)
            ),
            metadata=search_get_pb2.MetadataResult(
                id=one, id_as_bytes=uuid.UUID(one).bytes, distance=distance, distance_present=True
            ),
        )


class FakeWeaviate(JsonServer, weaviate_pb2_grpc.WeaviateServicer):
    """The server, with its `collections`; `refuse` is an error for the next batch's first object."""

    def __init__(self, key=None):
        self.collections, self.key, self.refuse = {}, key, None

    def __enter__(self):
        self._grpc = grpc.server(futures.ThreadPoolExecutor(4))
        weaviate_pb2_grpc.add_WeaviateServicer_to_server(self, self._grpc)
        self.grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        return super().__enter__()

    def __exit__(self, *_):
        self._grpc.stop(0)
        super().__exit__()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}?grpc={self.grpc_port}"

    # --- REST ---------------------------------------------------------------------------------------

    def error(self, refused):
        return {"error": [{"message": str(refused)}]}

    def answer(self, method, path, body, headers):
        """The JSON of a REST call."""
        if path == "/v1/.well-known/ready":  # anybody may ask
            return None
        if self.key and headers.get("Authorization") != f"Bearer {self.key}":
            raise RefusedError("anonymous access not enabled", 401)
        if path == "/v1/meta":
            return {"hostname": "http://[::]:8080", "modules": {}, "version": "1.34.0"}
        if method == "POST":
            made = Collection(json.loads(body))
            self.collections[made.schema["class"]] = made
            return made.schema
        name = path.removeprefix("/v1/schema/")
        if name not in self.collections:
            raise RefusedError("not found", 404)
        return self.collections[name].schema

    # --- gRPC ---------------------------------------------------------------------------------------

    def _collection(self, request, context):
        said = {(each.key, each.value) for each in context.invocation_metadata()}
        if self.key and ("authorization", f"Bearer {self.key}") not in said:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "extract auth: unauthenticated")
        return self.collections[request.collection]

    def Search(self, request, context):
        results = self._collection(request, context).search(request)
        return search_get_pb2.SearchReply(took=0.001, results=results)

    def Aggregate(self, request, context):
        count = len(self._collection(request, context).objects)
        single = aggregate_pb2.AggregateReply.Single(objects_count=count)
        return aggregate_pb2.AggregateReply(took=0.001, single_result=single)

    def BatchDelete(self, request, context):
        collection = self._collection(request, context)
        gone = collection.matching(request.filters)
        for each in gone:
            del collection.objects[each]
        return batch_delete_pb2.BatchDeleteReply(took=0.001, matches=len(gone), successful=len(gone))

    def BatchObjects(self, request, context):
        errors = []
        for place, each in enumerate(request.objects):
            try:
                if self.refuse:
                    refused, self.refuse = self.refuse, None
                    raise RefusedError(refused)
                self._collection(each, context).put(each)
            except RefusedError as error:
                errors.append(batch_pb2.BatchObjectsReply.BatchError(index=place, error=str(error)))
        return batch_pb2.BatchObjectsReply(took=0.001, errors=errors)
