"""One HTTP client for all tools: timeouts, retries, errors in one clear line.

    place = Api().get("Open-Meteo", "https://…/v1/search", Places, {"name": "Bangkok"})

A service may send anything (HTML, half an object, five megabytes), so a pydantic model validates each
response. Every failure is a ToolError that names the service, but not the URL. All requests are GETs, so
that retries have no side effects.
"""

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx2
import pydantic
from anthropic.lib.tools import ToolError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay
from tenacity import wait_random_exponential as full_jitter

from shared.chat.errors import retry_after
from shared.validation import first_problem
from step2_tools.agent.tool import sanitize

RETRIED = (429, 500, 502, 503, 504, 529)
TIMEOUT_S = 5.0
ATTEMPTS = 3  # for one request to one service
LONGEST_S = 12.0  # for all attempts together, including waits
MAX_BYTES = 2_000_000  # of a response


class ResponseModel(pydantic.BaseModel):
    """Base class for the services' responses: unknown fields are ignored, NaN is refused."""

    model_config = pydantic.ConfigDict(extra="ignore", allow_inf_nan=False)


ModelT = TypeVar("ModelT", bound=ResponseModel)


class ServiceRefused(ToolError):
    """The service refused the request with this HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ServiceUnavailable(ToolError):
    """No response, but a retry may succeed, after `wait_s` seconds if the service named a time."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        wait = f" and asks to wait {wait_s:.0f} s" if wait_s and wait_s >= LONGEST_S else ""
        super().__init__(f"{message}{wait}; try again later")
        self.wait_s = wait_s


class Api:
    """A connection pool, shared by all tools and threads.

    `sample_date` is the date of the sample data, if `transport` answers from that.
    """

    def __init__(
        self,
        *,
        transport: httpx2.BaseTransport | None = None,
        sample_date: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.sample_date = sample_date
        self._sleep = sleep
        headers = {"user-agent": "Mozilla/5.0 (compatible; llm-roadmap/0.1)", "accept": "application/json"}
        self._client = httpx2.Client(transport=transport, timeout=TIMEOUT_S, headers=headers)

    def get(
        self, service: str, url: str, model: type[ModelT], params: dict[str, str] | None = None
    ) -> ModelT:
        """Send a GET request, with retries, and validate the response with `model`.

        Raises:
            ServiceRefused: the service refused the request (4xx).
            ToolError: it can't be reached, is too slow or busy, or its response doesn't fit the model.
        """
        pause = full_jitter(0.5, min=0.1)  # so that clients that failed together don't retry together

        def wait(state: Any) -> float:
            requested = state.outcome.exception().wait_s
            return pause(state) if requested is None else requested

        stop = stop_after_attempt(ATTEMPTS) | stop_before_delay(LONGEST_S)
        retry = retry_if_exception_type(ServiceUnavailable)
        retrying = Retrying(retry=retry, stop=stop, wait=wait, sleep=self._sleep, reraise=True)
        body = _parse(service, *retrying(self._send, service, url, params or {}))
        try:
            return model.model_validate(body)
        except pydantic.ValidationError as error:
            problem = first_problem(error)
            where = problem.place or "the whole"
            raise ToolError(
                f"{service} answered in an unknown shape ({where}: {problem.message.lower()})"
            ) from None

    def _send(self, service: str, url: str, params: dict[str, str]) -> tuple[httpx2.Response, bytes]:
        """Send one request. The body is read in pieces, to limit its size."""
        raw = bytearray()
        try:
            with self._client.stream("GET", url, params=params) as response:
                for piece in response.iter_bytes():
                    raw += piece
                    if len(raw) > MAX_BYTES:
                        raise ToolError(f"{service} sent more than {MAX_BYTES // 10**6} MB: too much")
        except httpx2.TimeoutException:
            raise ServiceUnavailable(f"{service} did not answer in time") from None
        except httpx2.RequestError:
            raise ServiceUnavailable(f"{service} cannot be reached") from None
        if response.status_code in RETRIED:
            busy = f"{service} is busy or out of order (status {response.status_code})"
            raise ServiceUnavailable(busy, retry_after(response.headers))
        return response, bytes(raw)


def _parse(service: str, response: httpx2.Response, raw: bytes) -> Any:
    status = response.status_code
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):  # RecursionError: nested a million deep
        body = None
        if status == 200:
            kind = sanitize(response.headers.get("content-type", "unknown").partition(";")[0], 40)
            raise ToolError(f"{service} answered with something other than JSON ({kind})") from None
    if status == 200:
        return body
    details = body if isinstance(body, dict) else {}
    why = details.get("reason") or details.get("message") or f"status {status}"
    raise ServiceRefused(f"{service} refused the request: {sanitize(str(why), 200)}", status)
