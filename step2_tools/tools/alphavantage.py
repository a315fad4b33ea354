"""Stock prices from Alpha Vantage, which wants a key and allows 25 requests a day without payment.

    AlphaVantage(api, key).quote("IBM")       Quote(symbol='IBM', ..., at='2026-11-20', ...)

A limit that is reached arrives with status 200 and a text that holds the key; the client makes it an error
without the key. Free prices are those of the latest trading day's close.

Source: https://www.alphavantage.co/documentation/ (GLOBAL_QUOTE, SYMBOL_SEARCH)
"""

from __future__ import annotations

from pydantic import Field

from step2_tools.agent.tool import sanitize
from step2_tools.tools.http import Api, Shape
from step2_tools.tools.stocks import Quote

KEEP_S = 60
KEEP_NAMES_S = 7 * 24 * 3600


class Symbol(Shape):
    """One hit of SYMBOL_SEARCH."""

    symbol: str = Field(alias="1. symbol")
    name: str = Field("", alias="2. name")
    currency: str | None = Field(None, alias="8. currency")


class Symbols(Shape):
    """Hits, best first."""

    hits: list[Symbol] = Field(alias="bestMatches")


class Latest(Shape):
    """The fields of GLOBAL_QUOTE; all are empty for a symbol that does not exist. It names no currency."""

    price: float | None = Field(None, alias="05. price")
    day: str = Field("", alias="07. latest trading day")
    previous_close: float | None = Field(None, alias="08. previous close")


class GlobalQuote(Shape):
    """The whole answer."""

    latest: Latest = Field(alias="Global Quote")


class AlphaVantage:
    """Alpha Vantage's GLOBAL_QUOTE (price) and SYMBOL_SEARCH (name and currency)."""

    source = "Alpha Vantage (price of the latest trading day)"
    url = "https://www.alphavantage.co/query"

    def __init__(self, api: Api, key: str) -> None:
        self.api = api
        self._secret = {"apikey": key}

    def find(self, name: str) -> str | None:
        """The best match."""
        hits = self._search(name)
        return hits[0].symbol if hits else None

    def quote(self, symbol: str) -> Quote | None:
        """Two requests: the price, and once a week the name and currency that go with it."""
        params = {"function": "GLOBAL_QUOTE", "symbol": symbol}
        latest = self.api.get(
            "Alpha Vantage", self.url, GlobalQuote, params, secret=self._secret, keep_s=KEEP_S
        ).latest
        if latest.price is None:
            return None
        hit = next((each for each in self._search(symbol) if each.symbol == symbol), None)
        name, currency = (hit.name, hit.currency) if hit else (None, None)
        return Quote(symbol, name, latest.price, currency, sanitize(latest.day, 20), latest.previous_close)

    def _search(self, text: str) -> list[Symbol]:
        params = {"function": "SYMBOL_SEARCH", "keywords": text}
        return self.api.get(
            "Alpha Vantage", self.url, Symbols, params, secret=self._secret, keep_s=KEEP_NAMES_S
        ).hits
