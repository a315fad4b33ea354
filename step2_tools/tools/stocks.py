"""The stock tool: the latest price of a share, from Yahoo without a key or Alpha Vantage with one.

    Stocks(Yahoo(api)).get_stock_price("Apple")
    {"summary": "Apple Inc. (AAPL) is at 231.25 USD, up 1.20 (0.52 %) since the previous close; ...", ...}

A provider is anything with `source`, `find` and `quote`: see yahoo.py and alphavantage.py. Prices may be
delayed, and none of it is advice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from anthropic.lib.tools import ToolError

from step2_tools.agent.tool import result, sanitize

SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9.\-=]{0,11}")
MAX_NAME = 60


@dataclass(frozen=True)
class Quote:
    """A price with what it takes to read it; what the provider does not say is None."""

    symbol: str
    name: str | None
    price: float
    currency: str | None
    at: str
    previous_close: float | None
    exchange: str | None = None


class Provider(Protocol):
    """Where prices come from."""

    source: str

    def find(self, name: str) -> str | None:
        """The symbol that best matches a company's name, or a symbol in any case; None if none does."""

    def quote(self, symbol: str) -> Quote | None:
        """The latest price; None if the symbol does not exist."""


class Stocks:
    """Holds the provider; its method is the tool."""

    def __init__(self, provider: Provider, sample_date: str | None = None) -> None:
        self.provider = provider
        self.sample_date = sample_date

    def get_stock_price(self, symbol: str) -> str:
        """Get the latest price of a company's stock: the quote of a share, what it is trading at, its change.

        Args:
            symbol: Ticker symbol or company name, e.g. AAPL or Apple.

        Raises:
            ToolError: no such company, or the provider fails or has reached its limit.
        """
        asked = sanitize(symbol, MAX_NAME + 1)
        if not asked or len(asked) > MAX_NAME:
            raise ToolError(f"symbol must be a ticker symbol or company name, of 1 to {MAX_NAME} characters")
        quote = self._quote(asked.removeprefix("$"))
        if quote is None:
            raise ToolError(self._unknown(asked))
        change = None if quote.previous_close is None else quote.price - quote.previous_close
        percent = change / quote.previous_close * 100 if change is not None and quote.previous_close else None
        name = f"{sanitize(quote.name)} ({quote.symbol})" if quote.name else quote.symbol
        said = f"{name} is at {_money(quote.price)} {_currency(quote.currency)}"
        if change is not None and percent is not None:
            direction = "up" if change > 0 else "down" if change < 0 else "unchanged,"
            said += f", {direction} {_money(abs(change))} ({abs(percent):.2f} %) since the previous close"
        facts = {
            "symbol": quote.symbol,
            "name": sanitize(quote.name) if quote.name else None,
            "price": quote.price,
            "currency": quote.currency,
            "as_of": quote.at,
            "change": None if change is None else round(change, 4),
            "change_percent": None if percent is None else round(percent, 2),
            "exchange": sanitize(quote.exchange) if quote.exchange else None,
        }
        return result(f"{said}; price as of {quote.at}.", facts, self.provider.source, self.sample_date)

    def _quote(self, asked: str) -> Quote | None:
        """In capitals it may be a symbol ('IBM'), so that is tried first; anything else is a name."""
        if SYMBOL.fullmatch(asked) and (quote := self.provider.quote(asked)):
            return quote
        symbol = self.provider.find(asked)
        return self.provider.quote(symbol) if symbol and SYMBOL.fullmatch(symbol) else None

    def _unknown(self, asked: str) -> str:
        if self.sample_date:
            return (
                f"{asked!r} is not among the companies of the sample data (Apple, Tesla, Toyota, …); "
                "run without --offline"
            )
        return f"no stock was found for {asked!r}; use a ticker symbol (AAPL) or the name of a listed company"


def _money(amount: float) -> str:
    """Two digits, more for pennies: 231.25, 0.0042."""
    return f"{amount:,.2f}" if amount >= 1 or amount == 0 else f"{amount:.4g}"


def _currency(code: str | None) -> str:
    if code == "GBp":  # London quotes in pence
        return "GBp (pence)"
    return sanitize(code, 10) if code else "(currency not known)"
