"""The stock tool: the latest price of a share, from Yahoo's chart and search endpoints, which want no key.

    Stocks(api).get_stock_price("Apple")
    {"summary": "Apple Inc. (AAPL) is at 231.25 USD, up 1.20 (0.52 %) since the previous close; ...", ...}

The endpoints are unofficial and have no documentation: they may change or refuse any day. Prices may be
delayed, and none of it is advice.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from anthropic.lib.tools import ToolError
from pydantic import Field

from step2_tools.agent.tool import result, sanitize
from step2_tools.tools.http import Api, Refused, Shape

CHART = "https://query1.finance.yahoo.com/v8/finance/chart/"
SEARCH = "https://query1.finance.yahoo.com/v1/finance/search"
SOURCE = "Yahoo Finance (unofficial endpoint; may be delayed)"
SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9.\-=]{0,11}")
MAX_NAME = 60


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


class Stocks:
    """Holds the client; its method is the tool."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def get_stock_price(self, symbol: str) -> str:
        """Get the latest price of a company's stock: the quote of a share, what it is trading at, its change.

        Args:
            symbol: Ticker symbol or company name, e.g. AAPL or Apple.

        Raises:
            ToolError: no such company, or the service fails.
        """
        asked = sanitize(symbol, MAX_NAME + 1)
        if not asked or len(asked) > MAX_NAME:
            raise ToolError(f"symbol must be a ticker symbol or company name, of 1 to {MAX_NAME} characters")
        meta = self._quote(asked.removeprefix("$"))
        if meta is None:
            raise ToolError(self._unknown(asked))
        symbol, name = sanitize(meta.symbol, 20), sanitize(meta.longName or meta.shortName or "")
        price, before, at = meta.regularMarketPrice, meta.chartPreviousClose, _time(meta)
        said = f"{f'{name} ({symbol})' if name else symbol} is at {_money(price)} {_currency(meta.currency)}"
        change = percent = None
        if before:
            change, percent = price - before, (price - before) / before * 100
            direction = "up" if change > 0 else "down" if change < 0 else "unchanged,"
            said += f", {direction} {_money(abs(change))} ({abs(percent):.2f} %) since the previous close"
        facts = {
            "symbol": symbol,
            "name": name or None,
            "price": price,
            "currency": meta.currency,
            "as_of": at,
            "change": None if change is None else round(change, 4),
            "change_percent": None if percent is None else round(percent, 2),
            "exchange": sanitize(meta.fullExchangeName) if meta.fullExchangeName else None,
        }
        return result(f"{said}; price as of {at}.", facts, SOURCE, self.api.sample_date)

    def _quote(self, asked: str) -> Meta | None:
        """In capitals it may be a symbol ('IBM'), so that is tried first; anything else is a name."""
        if SYMBOL.fullmatch(asked) and (found := self._chart(asked)):
            return found
        symbol = self._find(asked)
        return self._chart(symbol) if symbol and SYMBOL.fullmatch(symbol) else None

    def _find(self, name: str) -> str | None:
        """The symbol of the best match. Shares only: the search also knows options, funds and coins."""
        params = {"q": name, "quotesCount": "10", "newsCount": "0"}
        hits = self.api.get("Yahoo", SEARCH, Matches, params).quotes
        return next((hit.symbol for hit in hits if hit.quoteType in ("EQUITY", "ETF", "INDEX")), None)

    def _chart(self, symbol: str) -> Meta | None:
        """The latest price; None if there is no such symbol."""
        symbol = re.sub(r"^([A-Z]+)\.([AB])$", r"\1-\2", symbol)  # a class of shares: BRK.B is BRK-B there
        try:
            answer = self.api.get("Yahoo", CHART + quote(symbol), Chart, {"range": "1d", "interval": "1d"})
        except Refused as error:
            if error.status in (400, 404, 422):
                return None
            raise
        return answer.chart.result[0].meta if answer.chart.result else None

    def _unknown(self, asked: str) -> str:
        if self.api.sample_date:
            return (
                f"{asked!r} is not among the companies of the sample data (Apple, Tesla, Toyota, …); "
                "run without --offline"
            )
        return f"no stock was found for {asked!r}; use a ticker symbol (AAPL) or the name of a listed company"


def _time(meta: Meta) -> str:
    """When the price was made, in the exchange's time zone."""
    try:
        zone = timezone(timedelta(seconds=meta.gmtoffset))
        return datetime.fromtimestamp(meta.regularMarketTime, zone).isoformat(sep=" ", timespec="minutes")
    except (ValueError, OverflowError, OSError):
        raise ToolError("Yahoo answered with an invalid time") from None


def _money(amount: float) -> str:
    """Two digits, more for pennies: 231.25, 0.0042."""
    return f"{amount:,.2f}" if amount >= 1 or amount == 0 else f"{amount:.4g}"


def _currency(code: str | None) -> str:
    if code == "GBp":  # London quotes in pence
        return "GBp (pence)"
    return sanitize(code, 10) if code else "(currency not known)"
