"""One HTTP client for all tools: time-outs, retries, a small cache on disk, errors in one clear line.

    api = Api(cache=Path("cache/http"))
    place = api.get("Open-Meteo", "https://…/v1/search", Places, {"name": "Bangkok"}, keep_s=3600)

An answer is checked against a pydantic model before anyone uses it, because a service may send anything:
HTML, half an object, five megabytes. What is refused, late or malformed ends as a ToolError that names the
service, never the address or a key. It only reads (GET), so that a retry can't do anything twice.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pydantic
from anthropic.lib.tools import ToolError

from step2_tools.tool import plain

ATTEMPTS = 3
RETRIED = (429, 500, 502, 503, 504, 529)
DEADLINE_S = 12.0  # for one question to one service, retries and waits included
MAX_BYTES = 2_000_000
MAX_FILES = 500  # in the cache
USER_AGENT = "Mozilla/5.0 (compatible; llm-roadmap/0.1)"

# Where services put their words of refusal, some of them (Alpha Vantage's limits) with status 200.
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


class Api:
    """A pool of connections and a cache, shared by all tools and threads.

    `recorded` is the date of the answers when `transport` replays recorded ones.
    """

    def __init__(
        self,
        cache: Path | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
        recorded: str | None = None,
        timeout_s: float = 5.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.recorded = recorded
        self._cache = cache
        self._sleep = sleep
        timeout = httpx2.Timeout(timeout_s, connect=min(3.0, timeout_s))
        headers = {"user-agent": USER_AGENT, "accept": "application/json"}
        self._client = httpx2.Client(transport=transport, timeout=timeout, headers=headers)

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
        public = str(httpx2.URL(url, params=params or {}))
        file = (
            self._cache / f"{hashlib.sha256(public.encode()).hexdigest()[:32]}.json" if self._cache else None
        )
        if file and (kept := _read(file, keep_s)) is not None:
            with contextlib.suppress(ToolError):  # of another shape: kept by another version of this code
                return _shaped(service, shape, kept)
        body = self._fetch(service, url, {**(params or {}), **(secret or {})}, secret or {})
        answer = _shaped(service, shape, body)
        if file and keep_s:
            _write(file, public, body)
        return answer

    def _fetch(self, service: str, url: str, params: dict[str, str], secret: dict[str, str]) -> Any:
        """The parsed JSON of a good answer, after as many attempts as attempts and deadline allow."""
        deadline = time.monotonic() + DEADLINE_S
        trouble = ""
        for attempt in range(ATTEMPTS):
            # Full jitter: many clients that failed together must not come back together.
            wait = random.uniform(0.1, 0.5 * 2**attempt)
            try:
                response, raw = self._send(service, url, params, deadline)
            except httpx2.TimeoutException:
                trouble = "did not answer in time"
            except httpx2.RequestError:
                trouble = "cannot be reached"
            else:
                if response.status_code not in RETRIED:
                    return _parsed(service, response, raw, secret)
                trouble = f"is busy or out of order (status {response.status_code})"
                asked = _retry_after(response.headers.get("retry-after"))
                wait = wait if asked is None else asked
            if attempt + 1 < ATTEMPTS:
                if time.monotonic() + wait > deadline:
                    trouble += f" and asks to wait {wait:.0f} s" if wait > 1 else ""
                    break
                self._sleep(wait)
        raise ToolError(f"{service} {trouble}; try again later")

    def _send(
        self, service: str, url: str, params: dict[str, str], deadline: float
    ) -> tuple[httpx2.Response, bytes]:
        """One request. The body is read in pieces, so that neither its size nor its slowness is unbounded."""
        raw = bytearray()
        with self._client.stream("GET", url, params=params) as response:
            for piece in response.iter_bytes():
                raw += piece
                if len(raw) > MAX_BYTES:
                    raise ToolError(
                        f"{service} sent more than {MAX_BYTES // 10**6} MB, which is no answer here"
                    )
                if time.monotonic() > deadline:
                    raise httpx2.ReadTimeout("deadline")
        return response, bytes(raw)


def _parsed(service: str, response: httpx2.Response, raw: bytes, secret: dict[str, str]) -> Any:
    status = response.status_code
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):  # RecursionError: nested a million deep
        if status >= 400:
            raise Refused(f"{service} refused the request (status {status})", status) from None
        kind = plain(response.headers.get("content-type", "unknown").partition(";")[0], 40)
        raise ToolError(f"{service} answered with something other than JSON ({kind})") from None
    said = _complaint(body)
    if said is None and status == 200:
        return body
    for value in secret.values():  # Alpha Vantage repeats the key in its message
        said = said and said.replace(value, "***")
    why = plain(said, 200) if said else f"status {status}"
    raise Refused(f"{service} refused the request: {why}", status)


def _complaint(body: Any) -> str | None:
    """The words of a refusal, if the answer is one."""
    said = [body[key] for key in COMPLAINTS if key in body] if isinstance(body, dict) else []
    return str(said[0]) if said else None


def _shaped(service: str, shape: type[ShapeT], body: Any) -> ShapeT:
    try:
        return shape.model_validate(body)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ToolError(f"{service} answered in an unknown shape ({where}: {first['msg'].lower()})") from None


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait by the Retry-After header, which is a number or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(value)
        return max(0.0, seconds) if seconds < 1e6 else 1e6
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None


# --- the cache: one JSON file an answer; a file that can't be read or written is no cache, not an error ---


def _read(file: Path, keep_s: float) -> Any:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(file.read_text(encoding="utf-8"))
        if 0 <= time.time() - kept["at"] < keep_s:
            return kept["body"]
    return None


def _write(file: Path, url: str, body: Any) -> None:
    """Write beside and rename, so that another process never reads half a file."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = sorted(file.parent.glob("*.json"), key=lambda each: each.stat().st_mtime)
        for old in kept[: max(0, len(kept) - MAX_FILES + 1)]:
            old.unlink(missing_ok=True)
        handle, draft = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump({"at": time.time(), "url": url, "body": body}, stream)
            Path(draft).replace(file)
        finally:
            Path(draft).unlink(missing_ok=True)
