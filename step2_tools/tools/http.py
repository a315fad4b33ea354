"""One HTTP client for all tools: time-outs, retries, errors in one clear line.

    place = Api().get("Open-Meteo", "https://…/v1/search", Places, {"name": "Bangkok"})

A service may send anything (HTML, half an object, five megabytes), so an answer is checked against a pydantic
model. Every failure is a ToolError that names the service, never the address. It only reads (GET), so that a
retry can't do anything twice.
"""

from __future__ import annotations

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
from step2_tools.agent.tool import sanitize

RETRIED = (429, 500, 502, 503, 504, 529)
ATTEMPTS, LONGEST_S = 3, 12.0  # for one question to one service; waits included
MAX_BYTES = 2_000_000  # of an answer


class Shape(pydantic.BaseModel):
    """Base of the models of what services answer: other fields are ignored, NaN is not a number."""

    model_config = pydantic.ConfigDict(extra="ignore", allow_inf_nan=False)


ShapeT = TypeVar("ShapeT", bound=Shape)


class Refused(ToolError):
    """The service understood and said no; `status` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Unavailable(ToolError):
    """No answer, but another attempt may bring one, after `wait_s` seconds if the service named a time."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        asks = f" and asks to wait {wait_s:.0f} s" if wait_s and wait_s >= LONGEST_S else ""
        super().__init__(f"{message}{asks}; try again later")
        self.wait_s = wait_s


class Api:
    """A pool of connections, shared by all tools and threads.

    `sample_date` is the date of the sample data, where `transport` answers from that.
    """

    def __init__(
        self,
        *,
        transport: httpx2.BaseTransport | None = None,
        sample_date: str | None = None,
        timeout_s: float = 5.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.sample_date = sample_date
        self._sleep = sleep
        headers = {"user-agent": "Mozilla/5.0 (compatible; llm-roadmap/0.1)", "accept": "application/json"}
        self._client = httpx2.Client(transport=transport, timeout=timeout_s, headers=headers)

    def get(
        self, service: str, url: str, shape: type[ShapeT], params: dict[str, str] | None = None
    ) -> ShapeT:
        """Ask the service; its answer in this shape, after as many attempts as number and time allow.

        Raises:
            Refused: the service said no (4xx).
            ToolError: it can't be reached, is too slow or busy, or answers in another shape.
        """
        pause = full_jitter(0.5, min=0.1)  # clients that failed together must not come back together

        def wait(state: Any) -> float:
            asked = state.outcome.exception().wait_s
            return pause(state) if asked is None else asked

        stop = stop_after_attempt(ATTEMPTS) | stop_before_delay(LONGEST_S)
        retry = retry_if_exception_type(Unavailable)
        retrying = Retrying(retry=retry, stop=stop, wait=wait, sleep=self._sleep, reraise=True)
        body = _parsed(service, *retrying(self._send, service, url, params or {}))
        try:
            return shape.model_validate(body)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            wrong = f"{where}: {first['msg'].lower()}"
            raise ToolError(f"{service} answered in an unknown shape ({wrong})") from None

    def _send(self, service: str, url: str, params: dict[str, str]) -> tuple[httpx2.Response, bytes]:
        """One request. The body is read in pieces, so that its size is bounded."""
        raw = bytearray()
        try:
            with self._client.stream("GET", url, params=params) as response:
                for piece in response.iter_bytes():
                    raw += piece
                    if len(raw) > MAX_BYTES:
                        raise ToolError(f"{service} sent more than {MAX_BYTES // 10**6} MB: too much")
        except httpx2.TimeoutException:
            raise Unavailable(f"{service} did not answer in time") from None
        except httpx2.RequestError:
            raise Unavailable(f"{service} cannot be reached") from None
        if response.status_code in RETRIED:
            busy = f"{service} is busy or out of order (status {response.status_code})"
            raise Unavailable(busy, retry_after(response.headers))
        return response, bytes(raw)


def _parsed(service: str, response: httpx2.Response, raw: bytes) -> Any:
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
    said = body if isinstance(body, dict) else {}
    why = said.get("reason") or said.get("message") or f"status {status}"
    raise Refused(f"{service} refused the request: {sanitize(str(why), 200)}", status)
