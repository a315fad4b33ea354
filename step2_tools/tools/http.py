"""One HTTP client for all tools: time-outs, retries, a small cache on disk, errors in one clear line.

    api = Api(cache=Path("cache/http"))
    place = api.get("Open-Meteo", "https://…/v1/search", Places, {"name": "Bangkok"}, keep_s=3600)

A service may send anything (HTML, half an object, five megabytes), so an answer is checked against a pydantic
model. Every failure is a ToolError that names the service, never the address or a key. It only reads (GET),
so that a retry can't do anything twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
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
MAX_BYTES, MAX_FILES = 2_000_000, 500  # of an answer; of the cache
# Where services put the reason of a refusal, some of them (Alpha Vantage's limits) with status 200.
COMPLAINTS = ("reason", "message", "Information", "Note", "Error Message")


class Shape(pydantic.BaseModel):
    """Base of the models of what services answer: other fields are ignored, NaN is no number."""

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
    """A pool of connections and a cache, shared by all tools and threads.

    `sample_date` is the date of the sample data, where `transport` answers from that.
    """

    def __init__(
        self,
        cache: Path | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
        sample_date: str | None = None,
        timeout_s: float = 5.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.sample_date = sample_date
        self._cache, self._sleep = cache, sleep
        headers = {"user-agent": "Mozilla/5.0 (compatible; llm-roadmap/0.1)", "accept": "application/json"}
        self._client = httpx2.Client(transport=transport, timeout=timeout_s, headers=headers)

    def get(
        self,
        service: str,
        url: str,
        shape: type[ShapeT],
        params: dict[str, str] | None = None,
        *,
        secret: dict[str, str] | None = None,
        keep_s: float = 0,
    ) -> ShapeT:
        """Ask the service, or the cache for an answer younger than `keep_s` seconds.

        `secret` holds parameters (keys) that reach neither the cache nor a message.

        Raises:
            Refused: the service said no (4xx, or an error inside an answer with status 200).
            ToolError: it can't be reached, is too slow or busy, or answers in another shape.
        """
        params, secret = params or {}, secret or {}
        name = hashlib.sha256(str(httpx2.URL(url, params=params)).encode()).hexdigest()[:32]
        file = self._cache / f"{name}.json" if self._cache and keep_s else None
        if file:
            with contextlib.suppress(OSError, ValueError, ToolError):  # spoilt, or kept by an older version
                if 0 <= time.time() - file.stat().st_mtime < keep_s:
                    return _validated(service, shape, json.loads(file.read_text(encoding="utf-8")))
        body = self._fetch(service, url, params | secret, secret)
        answer = _validated(service, shape, body)
        if file:
            _write(file, body)
        return answer

    def _fetch(self, service: str, url: str, params: dict[str, str], secret: dict[str, str]) -> Any:
        """The parsed JSON of a good answer, after as many attempts as number and time allow."""
        pause = full_jitter(0.5, min=0.1)  # clients that failed together must not come back together

        def wait(state: Any) -> float:
            asked = state.outcome.exception().wait_s
            return pause(state) if asked is None else asked

        stop = stop_after_attempt(ATTEMPTS) | stop_before_delay(LONGEST_S)
        retry = retry_if_exception_type(Unavailable)
        retrying = Retrying(retry=retry, stop=stop, wait=wait, sleep=self._sleep, reraise=True)
        return _parsed(service, *retrying(self._send, service, url, params), secret)

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


def _parsed(service: str, response: httpx2.Response, raw: bytes, secret: dict[str, str]) -> Any:
    status = response.status_code
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):  # RecursionError: nested a million deep
        if status < 400:
            kind = sanitize(response.headers.get("content-type", "unknown").partition(";")[0], 40)
            raise ToolError(f"{service} answered with something other than JSON ({kind})") from None
        body = None
    reasons = [str(body[key]) for key in COMPLAINTS if key in body] if isinstance(body, dict) else []
    if status == 200 and not reasons:
        return body
    why = reasons[0] if reasons else f"status {status}"
    for value in secret.values():  # Alpha Vantage repeats the key in its message
        why = why.replace(value, "***")
    raise Refused(f"{service} refused the request: {sanitize(why, 200)}", status)


def _validated(service: str, shape: type[ShapeT], body: Any) -> ShapeT:
    try:
        return shape.model_validate(body)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ToolError(f"{service} answered in an unknown shape ({where}: {first['msg'].lower()})") from None


def _write(file: Path, body: Any) -> None:
    """Keep an answer; beside and renamed, so that nobody reads half a file. No disk, no cache: no error."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = sorted(file.parent.glob("*.json"), key=lambda each: each.stat().st_mtime)
        for old in kept[: max(0, len(kept) - MAX_FILES + 1)]:
            old.unlink(missing_ok=True)
        draft = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        draft.write_text(json.dumps(body), encoding="utf-8")
        draft.replace(file)
