"""The currency tool: central banks' reference rates from frankfurter.dev, and ISO codes from names.

    code_of("British pounds")                                  'GBP'
    Currency(api).convert_currency("bucks", "yen", 20)
    {"summary": "20.00 USD is 2,990 JPY, at a rate of 149.5 of 2026-11-20.", ...}

Reference rates are published once per working day; banks and exchange offices give worse rates.

Source: https://frankfurter.dev (no key); currency names from Unicode CLDR, with Babel
"""

import math

from anthropic.lib.tools import ToolError
from babel.numbers import get_currency_precision

from step2_tools.agent.tool import result, sanitize
from step2_tools.tools.currencies import codes
from step2_tools.tools.http import Api, ResponseModel, ServiceRefused

URL = "https://api.frankfurter.dev/v2/rate"
SOURCE = "frankfurter.dev (reference rates of central banks)"
LARGEST = 1e15
MAX_NAME = 60


class Rate(ResponseModel):
    """The response: {"date": "2026-07-17", "base": "USD", "quote": "EUR", "rate": 0.8739}."""

    date: str
    rate: float


class Currency:
    """The client; the method is the tool."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def convert_currency(self, from_currency: str, to_currency: str, amount: float = 1.0) -> str:
        """Convert an amount of money from one currency to another, or get the exchange rate.

        Args:
            from_currency: ISO code or name of the currency, e.g. USD or US dollar.
            to_currency: ISO code or name of the currency, e.g. EUR or euro.
            amount: How much money to convert; 0 or more.

        Raises:
            ToolError: no such currency, an amount that is not allowed, or the service fails.
        """
        if not (math.isfinite(amount) and 0 <= amount <= LARGEST):
            raise ToolError(f"amount = {amount} is not allowed: it must be a number from 0 to {LARGEST:.0e}")
        base = code_of(from_currency)
        target = code_of(to_currency)
        rate, day = (1.0, None) if base == target else self._rate(base, target)
        converted = amount * rate
        summary = f"{_money(amount, base)} {base} is {_money(converted, target)} {target}"
        summary += f", at a rate of {rate:.6g} of {day}" if day else ""
        facts = {
            "from_currency": base,
            "to_currency": target,
            "amount": amount,
            "converted": float(f"{converted:.12g}"),
            "rate": rate,
            "rate_of": day,
        }
        return result(f"{summary}.", facts, SOURCE, self.api.sample_date)

    def _rate(self, base: str, target: str) -> tuple[float, str]:
        try:
            answer = self.api.get("Frankfurter", f"{URL}/{base}/{target}", Rate)
        except ServiceRefused as error:
            if error.status not in (400, 404, 422):
                raise
            where = "at frankfurter.dev; choose another currency"
            if self.api.sample_date:
                where = "in the sample data (which has USD, EUR, GBP, JPY, THB, …); run without --offline"
            raise ToolError(f"there is no rate from {base} to {target} {where}") from None
        if answer.rate <= 0:
            raise ToolError(f"Frankfurter answered with a rate of {answer.rate:g}: a rate must be above 0")
        return answer.rate, sanitize(answer.date, 20)


def code_of(text: str) -> str:
    """The ISO 4217 code for a code, name, plural or sign.

    >>> [code_of(text) for text in ("usd", "US dollars", "euros", "€", "British pounds", "bucks")]
    ['USD', 'USD', 'EUR', 'EUR', 'GBP', 'USD']

    Raises:
        ToolError: no current currency has this name, or several have it (the message lists them).
    """
    name = sanitize(text, MAX_NAME)
    matches = codes(name)
    if len(matches) == 1:
        return next(iter(matches))
    if matches:
        raise ToolError(f"{name!r} can be {', '.join(sorted(matches))}: give the ISO code")
    raise ToolError(
        f"{name!r} is not a currency of today: use an ISO code (USD, EUR) or a name (US dollar, Thai baht)"
    )


def _money(amount: float, code: str) -> str:
    """The amount with the currency's number of decimals (none for yen), or more if it is below 1."""
    if 0 < amount < 1:
        return f"{amount:.4g}"
    return f"{amount:,.{get_currency_precision(code)}f}"
