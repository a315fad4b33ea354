"""A load generator: so many users at once, or so many requests a second, and what each of them waited for.

    closed loop   `users` people, each asks again as soon as the answer is there: the engine sets the pace
    open loop     requests arrive at a rate, by chance (Poisson), whether the last ones are answered or not:
                  the world sets the pace; waiting counts from the moment at which a request should have gone

    asked    first token             last token
      |---------|..:..:..:..:..:..:..:..|
      first     per token: the mean of the gaps behind the first

Every engine is asked through the SDK, as the service asks it. What a load reports are times of single
requests; engines.py makes rows and percentiles of them.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from shared.errors import reason

if TYPE_CHECKING:
    import anthropic

Body = dict[str, Any]  # a request of the Messages API
Ask = Callable[[Body], Iterator[int]]  # a request -> the number of tokens written so far, whenever it grows


def ask(client: anthropic.Anthropic, body: Body) -> Iterator[int]:
    """The number of tokens that an engine has written, whenever it grows.

    A server may send several tokens in one event, and says only at the end how many there were: in between,
    one event counts as one token. The SDK's errors pass through.
    """
    tokens = 0
    with client.messages.create(**body, stream=True) as events:
        for event in events:
            if event.type == "content_block_delta":
                tokens += 1
                yield tokens
            elif event.type == "message_delta" and event.usage.output_tokens > tokens:
                tokens = event.usage.output_tokens
                yield tokens


@dataclass
class Timed:
    """One request: when it should have gone, and when each token was there (seconds of one clock)."""

    asked: float
    times: list[float] = field(default_factory=list)  # one for each event
    counts: list[int] = field(default_factory=list)  # tokens written by then
    ended: float = 0.0
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


def closed_loop(engine: Ask, bodies: Sequence[Body], users: int, seconds: float = math.inf) -> Run:
    """Ask the `bodies`, `users` at a time; none is begun after so many seconds."""
    began = time.perf_counter()

    def take(body: Body) -> Timed | None:
        now = time.perf_counter()
        return _timed(engine, body, now) if now < began + seconds else None

    with ThreadPoolExecutor(users) as people:  # each takes the next body when his last one is answered
        done = [each for each in people.map(take, bodies) if each]
    ends = sorted(each.ended for each in done)
    return Run(done, began, ends[max(0, len(ends) - users)])  # from there on, somebody has nothing to ask


def open_loop(engine: Ask, bodies: Sequence[Body], rate: float, seed: int = 0) -> Run:
    """Ask all `bodies`, at `rate` requests a second on average."""
    chance = random.Random(seed)
    due = list(accumulate(chance.expovariate(rate) for _ in bodies))
    began = time.perf_counter()

    def send(body: Body, after: float) -> Timed:
        time.sleep(max(0.0, began + after - time.perf_counter()))
        return _timed(engine, body, began + after)

    with ThreadPoolExecutor(len(bodies)) as requests:
        done = list(requests.map(send, bodies, due))
    return Run(done, began, max(each.ended for each in done))


def _timed(engine: Ask, body: Body, asked: float) -> Timed:
    timed = Timed(asked)
    try:
        for tokens in engine(body):
            timed.times.append(time.perf_counter())
            timed.counts.append(tokens)
    except Exception as error:  # counted, and shown: a load that breaks an engine is a finding
        timed.error = reason(error)
    timed.ended = time.perf_counter()
    return timed
