"""What all routes need: the caller, replies as JSON, and errors as replies."""

from dataclasses import replace
from typing import Any, Literal

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from shared.errors import UserError
from shared.validation import first_problem
from step5_serving.api.security import internal
from step5_serving.api.service import GONE, Service
from step5_serving.connections import ClientGone
from step5_serving.errors import ApiError, bad_request
from step5_serving.telemetry.call import Caller, trace_of

TYPES = {404: "not_found_error", 408: "timeout_error", 413: "request_too_large"}


class ErrorReply(BaseModel):
    """The reply to any request that failed."""

    error: dict[Literal["type", "message"], str]


ERRORS: dict[int | str, dict[str, Any]] = {  # of all routes, for OpenAPI
    "4XX": {"model": ErrorReply, "description": "Not allowed, not found, malformed, or too many requests."},
    "5XX": {"model": ErrorReply, "description": "No room, not ready, no answer in time, or a bug."},
}


def service_of(request: Request) -> Service:
    return request.app.state.service


def caller_of(request: Request, scope: str, *, is_question: bool = False) -> Caller:
    """Who calls; raises ApiError if the caller may not do this, or not so often.

    The rate of questions is checked by the service instead, which writes rows of those that it refuses.
    """
    service, host = service_of(request), request.client.host if request.client else ""
    trace_id, parent = trace_of(request.headers.get("traceparent"))
    service.keys.refresh()
    service.log_state("keys", service.keys.trouble)
    caller = Caller(service.access.key_of(request.headers, scope), host, trace_id, parent)
    if not is_question:
        service.access.check_rate(caller)
    return caller


def reply(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response; NaN and infinity become null."""
    return Response(to_json(data, inf_nan_mode="null"), status, headers, "application/json")


# --- errors as replies --------------------------------------------------------------------------------


async def handle_error(request: Request, error: Exception) -> Response:
    """Turn any error into a reply."""
    headers = dict[str, str]()
    match error:
        case ClientGone():
            return Response(status_code=GONE)  # nobody reads it
        case ApiError():
            refusal = error
        case UserError():
            refusal = bad_request(str(error))
        case RequestValidationError() | ValidationError():
            refusal = _from_validation(error)
        case HTTPException():
            refusal, headers = _from_http(request, error), dict(error.headers or {})
        case _:  # a bug, which SecurityMiddleware logs
            refusal = internal(request.state.request_id)
    if refusal.retry_after is not None:
        headers["retry-after"] = str(refusal.retry_after)
    if refusal.status in (408, 413):
        headers["connection"] = "close"  # the rest of the body is not read
    return reply(refusal.body(), refusal.status, headers)


def _from_validation(error: RequestValidationError | ValidationError) -> ApiError:
    """The first mistake in one line, without the value that was sent."""
    problem = first_problem(error)
    path = tuple(part for part in problem.path if part not in ("body", "query", "path"))
    place = replace(problem, path=path).place
    text = problem.message if problem.kind != "json_invalid" else "the body is not valid JSON"
    return bad_request(f"{place[:100]}: {text}" if place else text)


def _from_http(request: Request, error: HTTPException) -> ApiError:
    """Starlette's own errors: no such route, a wrong method, a body that is too large."""
    text = str(error.detail)
    if error.status_code == 404:
        text = f"there is no {request.url.path[:200]}: see /openapi.json"
    if error.status_code == 405:
        text = f"{request.method} is not allowed here: use {(error.headers or {}).get('Allow')}"
    kind = TYPES.get(error.status_code, "invalid_request_error" if error.status_code < 500 else "api_error")
    return ApiError(error.status_code, kind, text)


KINDS = (ApiError, UserError, RequestValidationError, ValidationError, HTTPException, ClientGone, Exception)
HANDLERS: dict[Any, Any] = dict.fromkeys(KINDS, handle_error)
