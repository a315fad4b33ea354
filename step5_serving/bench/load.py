"""A load generator: so many users at once, or so many requests a second, and what each of them waited for.

    closed loop   `users` people, each asks again as soon as the answer is there: the engine sets the pace
    open loop     requests arrive at a rate, by chance (Poisson), whether the last ones are answered or not:
                  the world sets the pace; waiting counts from the moment at which a request should have gone

    asked    first token             last token
      |---------|..:..:..:..:..:..:..:..|
      first     per token: the mean of the gaps behind the first

Every engine is asked over HTTP by its Messages API, as the service asks it. What it reports are times of
single requests; engines.py makes rows and percentiles of them.
"""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.errors import UserError, reason

Body = dict[str, Any]  # a request of the Messages API
PATIENCE = 600.0  # seconds for a server's answer


class OverHttp:
    """A server, by its Messages API: the events of a stream, read as they come.

    A server may send several tokens in one event, and says only at the end how many there were: in between,
    one event counts as one token.
    """

    def __init__(
        self, name: str, address: str, model: str, key: str | None = None, greedy: Body | None = None
    ) -> None:
        """`greedy` are the parameters by which this server writes greedily; ours do so anyway."""
        import httpx2

        self.name, self.address = name, address.rstrip("/")
        self._more = {"model": model, "stream": True, **(greedy or {})}
        key = key or "not-needed"
        headers = {"x-api-key": key, "authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"}
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        self._http = httpx2.Client(headers=headers, timeout=PATIENCE, limits=limits, trust_env=False)

    def ask(self, body: Body) -> Iterator[int]:
        """The number of tokens written so far, whenever it grows.

        Raises:
            UserError: the server doesn't answer, or with an error.
        """
        import httpx2

        request = {**body, **self._more}
        tokens = 0
        try:
            with self._http.stream("POST", f"{self.address}/v1/messages", json=request) as reply:
                if reply.status_code != 200:
                    said = " ".join(reply.read().decode(errors="replace").split())
                    raise UserError(f"{self.name}: {reply.status_code} {said[:200]}")
                for line in reply.iter_lines():
                    if not line.startswith("data:"):
                        continue
                    grown = self.count(json.loads(line[5:]), tokens)
                    if grown > tokens:
                        tokens = grown
                        yield tokens
        except httpx2.TransportError as error:
            raise UserError(f"{self.name}: {reason(error)}") from None

    def count(self, event: dict[str, Any], tokens: int) -> int:
        """Tokens written after an event; `tokens` before it.

        Raises:
            UserError: the event is an error.
        """
        if event["type"] == "error":
            raise UserError(f"{self.name}: {event['error'].get('message')}")
        if event["type"] == "message_delta":
            return max(tokens, event["usage"]["output_tokens"])
        return tokens + (event["type"] == "content_block_delta")


@dataclass
class Timed:
    """One request: when it should have gone, and when each token was there (seconds of one clock)."""

    asked: float
    times: list[float] = field(default_factory=list)  # one for each event
    counts: list[int] = field(default_factory=list)  # tokens written by then
    error: str | None = None

    @property
    def tokens(self) -> int:
        """Tokens written."""
        return self.counts[-1] if self.counts else 0

    @property
    def first(self) -> float | None:
        """Seconds to the first token."""
        return self.times[0] - self.asked if self.times else None

    @property
    def per_token(self) -> float | None:
        """Seconds between two tokens, on average, behind the first."""
        if self.tokens < 2 or self.counts[0] == self.tokens:
            return None
        return (self.times[-1] - self.times[0]) / (self.tokens - self.counts[0])

    @property
    def stall(self) -> float | None:
        """The longest wait for the next token."""
        gaps = [b - a for a, b in zip(self.times, self.times[1:], strict=False)]
        return max(gaps, default=None)

    @property
    def whole(self) -> float | None:
        """Seconds to the last token."""
        return self.times[-1] - self.asked if self.times else None

    def tokens_until(self, moment: float) -> int:
        """How many of its tokens were there at a moment."""
        return max((n for at, n in zip(self.times, self.counts, strict=True) if at <= moment), default=0)


@dataclass
class Run:
    """All requests of one load, the moment of the first, and the last moment at which it was complete."""

    requests: list[Timed]
    began: float
    until: float

    @property
    def tokens_per_second(self) -> float:
        """While all users were busy: when the first one goes home, the engine is no longer full."""
        tokens = sum(each.tokens_until(self.until) for each in self.requests)
        return tokens / (self.until - self.began)


def closed_loop(target: OverHttp, bodies: Sequence[Body], users: int, seconds: float = math.inf) -> Run:
    """Ask the `bodies`, `users` at a time; none is begun after so many seconds."""
    left, lock = iter(bodies), threading.Lock()
    done: list[Timed] = []
    ends: list[float] = []
    began = time.perf_counter()

    def user() -> None:
        while True:
            with lock:
                body = next(left, None) if time.perf_counter() < began + seconds else None
                if body is None:
                    ends.append(time.perf_counter())
                    return
            timed = _ask(target, body, time.perf_counter())
            with lock:
                done.append(timed)

    _in_threads([user] * users)
    return Run(done, began, min(ends))


def open_loop(target: OverHttp, bodies: Sequence[Body], rate: float, seed: int = 0) -> Run:
    """Ask all `bodies`, at `rate` requests a second on average."""
    chance, at = random.Random(seed), 0.0
    plan: list[tuple[float, Body]] = []
    for body in bodies:
        at += chance.expovariate(rate)
        plan.append((at, body))
    done: list[Timed] = []
    began = time.perf_counter()

    def request(due: float, body: Body) -> None:
        time.sleep(max(0.0, began + due - time.perf_counter()))
        done.append(_ask(target, body, began + due))  # list.append is atomic

    _in_threads([lambda due=due, body=body: request(due, body) for due, body in plan])
    last = began + plan[-1][0]
    ends = [each.times[-1] for each in done if each.times]
    return Run(done, began, max([last, *ends]))


def _ask(target: OverHttp, body: Body, asked: float) -> Timed:
    timed = Timed(asked)
    try:
        for tokens in target.ask(body):
            timed.times.append(time.perf_counter())
            timed.counts.append(tokens)
    except Exception as error:  # counted, and shown: a load that breaks an engine is a finding
        timed.error = reason(error)
    return timed


def _in_threads(work: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=each, daemon=True) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
