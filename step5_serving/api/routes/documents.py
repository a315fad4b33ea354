"""GET /documents, POST /ingest, DELETE /documents/{id}: the documents behind the answers, for operators.

GET /collections is for those who ask: the names that sources of answers have.

    $ curl localhost:8000/ingest -H "x-api-key: $KEY" -F collection=contracts -F files=@supply.md
    {"new":["contracts/supply.md"],"changed":[],"unchanged":0,"failed":{},"documents":[{"id":17,...}]}
    $ curl -X DELETE localhost:8000/documents/17 -H "x-api-key: $KEY"

The file name's ending says its type (.md .txt .html .pdf .docx .csv ...). A file whose name exists already
becomes its new version. Questions that come meanwhile never see half of a document; once the reply is there,
they see the change.
"""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from starlette.datastructures import UploadFile

from step5_serving.api.replies import caller_of, reply, service_of
from step5_serving.errors import bad_request, not_found

router = APIRouter(tags=["documents"])
MOST_FILES = 100
LARGEST_ID = 2**63 - 1  # of SQLite
STILL_IN = (
    "it has left the index; telemetry rows of answers from it still hold its text, and the index's write-"
    "ahead log may for a while: `python -m step5_serving telemetry prune --older-than 1s` deletes all rows"
)
# For OpenAPI; as parameters of `ingest`, FastAPI would read the files before the key is checked.
FORM = {
    "type": "object",
    "properties": {
        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "collection": {"type": "string"},
    },
    "required": ["files"],
}
INGEST = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": FORM}}}}


@router.get("/documents")
async def documents(request: Request) -> Response:
    """List the documents."""
    caller_of(request, "operate")
    return reply({"documents": await _library(request).documents()})


@router.get("/collections")
async def collections(request: Request) -> Response:
    """List the names of the documents, by collection."""
    caller_of(request, "ask")
    names: dict[str, list[str]] = {}
    for row in await _library(request).documents():
        names.setdefault(row["collection"], []).append(row["name"])
    return reply({"collections": names})


@router.post("/ingest", openapi_extra=INGEST)
async def ingest(request: Request) -> Response:
    """Add documents.

    The reply has the names that are `new` or `changed`, the number `unchanged`, and why others `failed`.
    """
    caller, library = caller_of(request, "operate"), _library(request)
    uploads = await _files(request)
    names = ", ".join(each.name for each in uploads)
    return reply(await service_of(request).change("ingest", names, caller, partial(library.ingest, uploads)))


@router.delete("/documents/{id}")
async def delete(request: Request, id: Annotated[int, Path(ge=0, le=LARGEST_ID)]) -> Response:
    """Delete a document; the reply describes it, and says where its text may still be."""
    caller, library = caller_of(request, "operate"), _library(request)
    gone = await service_of(request).change("delete", str(id), caller, partial(library.remove, id))
    return reply({**gone, "note": STILL_IN})


def _library(request: Request) -> Any:
    """The document library; ApiError if this server has none (it is scripted)."""
    library = service_of(request).answerer.library
    if library is None:
        raise not_found("this server has no documents: its answers are scripted")
    return library


async def _files(request: Request) -> list[Any]:
    """The files of a form. (The middleware limits their size.)"""
    from step5_serving.rag.library import upload_of

    async with request.form(max_files=MOST_FILES, max_fields=10) as form:
        collection = form.get("collection")
        files = [each for each in form.getlist("files") if isinstance(each, UploadFile)]
        others = len(form.multi_items()) - len(files) - ("collection" in form)
        if not files or others or isinstance(collection, UploadFile):
            raise bad_request("send multipart/form-data: documents as `files`, and a `collection` or none")
        return [upload_of(each.filename or "", collection, await each.read()) for each in files]
