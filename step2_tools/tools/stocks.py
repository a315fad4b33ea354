"""The stock tool: the latest price of a share, from Yahoo's chart and search endpoints, which need no key.

    Stocks(api).get_stock_price("Apple")
    {"summary": "Apple Inc. (AAPL) is at 231.25 USD, up 1.20 (0.52 %) since the previous close; ...", ...}

The endpoints are unofficial and undocumented: they may change or stop working any day. Prices may be delayed
and are not investment advice.
"""

import re
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from anthropic.lib.tools import ToolError
from pydantic import AliasPath, Field

from step2_tools.agent.tool import result, sanitize
from step2_tools.tools.http import Api, ResponseModel, ServiceRefused

CHART = "https://query1.finance.yahoo.com/v8/finance/chart/"
SEARCH = "https://query1.finance.yahoo.com/v1/finance/search"
SOURCE = "Yahoo Finance (unofficial endpoint; may be delayed)"
SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9.\-=]{0,11}")
MAX_NAME = 60
DIRECTIONS = ("up", "down", "unchanged")  # of a price since the previous close


class Meta(ResponseModel):
    """The metadata of a series. With range=1d, `chartPreviousClose` is the previous day's close."""

    symbol: str
    regularMarketPrice: float
    regularMarketTime: int
    currency: str | None = None
    chartPreviousClose: float | None = None
    longName: str | None = None
    shortName: str | None = None
    fullExchangeName: str | None = None
    gmtoffset: int = 0


class Chart(ResponseModel):
    """The chart endpoint's response; of the series in it, we only use the metadata."""

    meta: Meta = Field(validation_alias=AliasPath("chart", "result", 0, "meta"))


class Match(ResponseModel):
    """One search result."""

    symbol: str
    quoteType: str = ""


class Matches(ResponseModel):
    """The search endpoint's response: results, best first. Its news and lists are ignored."""

    quotes: list[Match] = Field(default_factory=list)


class Stocks:
    """The client; the method is the tool."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def get_stock_price(self, symbol: str) -> str:
        """Get the latest price of a company's stock: the quote of a share, what it is trading at, its change.

        Args:
            symbol: Ticker symbol or company name, e.g. AAPL or Apple.

        Raises:
            ToolError: no such company, or the service fails.
        """
        query = sanitize(symbol, MAX_NAME + 1)
        if not query or len(query) > MAX_NAME:
            raise ToolError(f"symbol must be a ticker symbol or company name, of 1 to {MAX_NAME} characters")
        meta = self._quote(query.removeprefix("$"))
        if meta is None:
            raise ToolError(self._unknown(query))
        symbol = sanitize(meta.symbol, 20)
        name = sanitize(meta.longName or meta.shortName or "")
        price = meta.regularMarketPrice
        previous = meta.chartPreviousClose
        time = _time(meta)
        company = f"{name} ({symbol})" if name else symbol
        summary = f"{company} is at {_money(price)} {_currency(meta.currency)}"
        change = None
        percent = None
        if previous:
            change = price - previous
            percent = change / previous * 100
            up, down, unchanged = DIRECTIONS
            direction = f"{unchanged},"
            if change:
                direction = up if change > 0 else down
            summary += f", {direction} {_money(abs(change))} ({abs(percent):.2f} %) since the previous close"
        facts = {
            "symbol": symbol,
            "name": name or None,
            "price": price,
            "currency": meta.currency,
            "as_of": time,
            "change": None if change is None else round(change, 4),
            "change_percent": None if percent is None else round(percent, 2),
            "exchange": sanitize(meta.fullExchangeName) if meta.fullExchangeName else None,
        }
        return result(f"{summary}; price as of {time}.", facts, SOURCE, self.api.sample_date)

    def _quote(self, query: str) -> Meta | None:
        """The quote for a symbol or name: capitals ('IBM') are tried as a symbol first."""
        if SYMBOL.fullmatch(query) and (meta := self._chart(query)):
            return meta
        symbol = self._search(query)
        return self._chart(symbol) if symbol and SYMBOL.fullmatch(symbol) else None

    def _search(self, name: str) -> str | None:
        """The symbol of the best match; only shares, funds (ETFs) and indices, not options or coins."""
        params = {"q": name, "quotesCount": "10", "newsCount": "0"}
        hits = self.api.get("Yahoo", SEARCH, Matches, params).quotes
        symbols = [hit.symbol for hit in hits if hit.quoteType in ("EQUITY", "ETF", "INDEX")]
        return symbols[0] if symbols else None

    def _chart(self, symbol: str) -> Meta | None:
        """The latest price; None if there is no such symbol."""
        symbol = re.sub(r"^([A-Z]+)\.([AB])$", r"\1-\2", symbol)  # Yahoo writes share class BRK.B as BRK-B
        try:
            params = {"range": "1d", "interval": "1d"}
            return self.api.get("Yahoo", CHART + quote(symbol), Chart, params).meta
        except ServiceRefused as error:
            if error.status in (400, 404, 422):
                return None
            raise

    def _unknown(self, query: str) -> str:
        if self.api.sample_date:
            return (
                f"{query!r} is not among the companies of the sample data (Apple, Tesla, Toyota, …); "
                "run without --offline"
            )
        return f"no stock was found for {query!r}; use a ticker symbol (AAPL) or the name of a listed company"


def _time(meta: Meta) -> str:
    """The time of the price, in the exchange's time zone."""
    try:
        zone = timezone(timedelta(seconds=meta.gmtoffset))
        return datetime.fromtimestamp(meta.regularMarketTime, zone).isoformat(sep=" ", timespec="minutes")
    except (ValueError, OverflowError, OSError):
        raise ToolError("Yahoo answered with an invalid time") from None


def _money(amount: float) -> str:
    """The amount with two decimals, or four digits below 1: 231.25, 0.0042."""
    return f"{amount:,.2f}" if amount >= 1 or amount == 0 else f"{amount:.4g}"


def _currency(code: str | None) -> str:
    if code == "GBp":  # London quotes in pence
        return "GBp (pence)"
    return sanitize(code, 10) if code else "(currency not known)"
