"""Stock prices from Yahoo's chart and search endpoints, which want no key.

    Yahoo(api).find("Apple")       'AAPL'
    Yahoo(api).quote("AAPL")       Quote(symbol='AAPL', name='Apple Inc.', price=231.25, currency='USD', ...)

The endpoints are unofficial and have no documentation: they may change or refuse any day.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from urllib.parse import quote as quoted

from anthropic.lib.tools import ToolError
from pydantic import Field

from step2_tools.agent.tool import sanitize
from step2_tools.tools.http import Api, Refused, Shape
from step2_tools.tools.stocks import Quote

KEEP_S = 60
KEEP_NAMES_S = 7 * 24 * 3600


class Meta(Shape):
    """`chart.result[0].meta`. With range=1d the close before the chart is that of the day before."""

    symbol: str
    regularMarketPrice: float
    regularMarketTime: int
    currency: str | None = None
    chartPreviousClose: float | None = None
    longName: str | None = None
    shortName: str | None = None
    fullExchangeName: str | None = None
    gmtoffset: int = 0


class Result(Shape):
    """One series of the chart; only its head is used."""

    meta: Meta


class Results(Shape):
    """`result` is null when there is an error."""

    result: list[Result] | None = None


class Chart(Shape):
    """The whole answer."""

    chart: Results


class Match(Shape):
    """One hit of the search."""

    symbol: str
    quoteType: str = ""


class Matches(Shape):
    """Hits, best first; news and lists are ignored."""

    quotes: list[Match] = Field(default_factory=list)


class Yahoo:
    """Yahoo's chart and search endpoints: no key, unofficial."""

    source = "Yahoo Finance (unofficial endpoint; may be delayed)"
    chart_url = "https://query1.finance.yahoo.com/v8/finance/chart/"
    search_url = "https://query1.finance.yahoo.com/v1/finance/search"

    def __init__(self, api: Api) -> None:
        self.api = api

    def find(self, name: str) -> str | None:
        """Shares first: the search also knows options, funds and coins."""
        params = {"q": name, "quotesCount": "10", "newsCount": "0"}
        hits = self.api.get("Yahoo", self.search_url, Matches, params, keep_s=KEEP_NAMES_S).quotes
        shares = [hit for hit in hits if hit.quoteType in ("EQUITY", "ETF", "INDEX")]
        return shares[0].symbol if shares else None

    def quote(self, symbol: str) -> Quote | None:
        """A class of shares is written with a dash there: BRK.B is BRK-B."""
        symbol = re.sub(r"^([A-Z]+)\.([AB])$", r"\1-\2", symbol)
        params = {"range": "1d", "interval": "1d"}
        try:
            answer = self.api.get("Yahoo", self.chart_url + quoted(symbol), Chart, params, keep_s=KEEP_S)
        except Refused as error:
            if error.status in (400, 404, 422):
                return None
            raise
        if not answer.chart.result:
            return None
        meta = answer.chart.result[0].meta
        try:
            zone = timezone(timedelta(seconds=meta.gmtoffset))
            at = datetime.fromtimestamp(meta.regularMarketTime, zone).isoformat(sep=" ", timespec="minutes")
        except (ValueError, OverflowError, OSError):
            raise ToolError("Yahoo answered with an invalid time") from None
        name = meta.longName or meta.shortName
        return Quote(
            sanitize(meta.symbol, 20),
            name,
            meta.regularMarketPrice,
            meta.currency,
            at,
            meta.chartPreviousClose,
            meta.fullExchangeName,
        )
