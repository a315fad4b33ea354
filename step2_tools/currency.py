"""The currency tool: reference rates of central banks, by frankfurter.dev; and names turned into ISO codes.

    code_of("British pounds")                                  'GBP'
    Currency(api).convert_currency("bucks", "yen", 20)
    {"summary": "20.00 USD is 2,990.00 JPY, at a rate of 149.5 of 2026-11-20.", ...}

Reference rates are published once a working day: a bank or an exchange office gives less.

Source: https://frankfurter.dev (no key); names of currencies by Unicode CLDR, through Babel
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections import defaultdict

from anthropic.lib.tools import ToolError

from step2_tools.http import Api, Refused, Shape
from step2_tools.tool import plain, result

URL = "https://api.frankfurter.dev/v2/rate"
SOURCE = "frankfurter.dev (reference rates of central banks)"
KEEP_S = 3600
LARGEST = 1e15
MAX_NAME = 60

# What CLDR does not have: slang and signs; and of a name that several currencies share, the one that is
# meant when nothing is added. The others of the shared names ("dinar", "krone") stay a question.
MEANT = {
    "USD": "dollar,buck,greenback,american dollar,us,usa dollar,$,us$,u$s",
    "GBP": "pound,sterling,pound sterling,pounds sterling,english pound,uk pound,quid,£",
    "EUR": "€",
    "JPY": "japan yen,¥,￥,円",
    "CNY": "yuan,renminbi,rmb,chinese renminbi,yuan renminbi,元",
    "CHF": "franc,sfr,fr",
    "INR": "rupee,₹,rs",
    "KRW": "won,korean won,₩",
    "MXN": "peso",
    "RUB": "ruble,rouble,russian rouble,₽",
    "SEK": "krona",
    "RON": "leu,lei,romanian lei",
    "BRL": "real,reais,brazilian reais,r$",
    "AUD": "aussie dollar,aussie,a$,au$",
    "CAD": "loonie,c$,ca$",
    "NZD": "kiwi dollar,kiwi,nz dollar",
    "HKD": "hk dollar",
    "TWD": "taiwan dollar,taiwanese dollar,nt dollar,nt$",
    "SGD": "s$",
    "AED": "emirati dirham,dubai dirham",
    "SAR": "saudi riyal",
    "ILS": "shekel,israeli shekel,nis",
    "PHP": "filipino peso,₱",
    "TRY": "₺",
    "THB": "฿",
    "PLN": "zł,zloty,zlote",
    "CZK": "kč,crown,czech crown",
    "UAH": "hryvnia,₴",
    "NGN": "₦",
    "HUF": "ft",
}


class Rate(Shape):
    """The whole answer: {"date": "2026-07-17", "base": "USD", "quote": "EUR", "rate": 0.8739}."""

    date: str
    rate: float


class Currency:
    """Holds the client; its method is the tool."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def convert_currency(self, from_currency: str, to_currency: str, amount: float = 1.0) -> str:
        """Convert an amount of money from one currency to another, or get the exchange rate.

        Args:
            from_currency: ISO code or name of the currency, e.g. USD or US dollar.
            to_currency: ISO code or name of the currency, e.g. EUR or euro.
            amount: How much money to convert; 0 or more.

        Raises:
            ToolError: no such currency, an amount that is none, or the service fails.
        """
        if not (math.isfinite(amount) and 0 <= amount <= LARGEST):
            raise ToolError(f"amount = {amount} is not allowed: it must be a number from 0 to {LARGEST:.0e}")
        base, target = _code("from_currency", from_currency), _code("to_currency", to_currency)
        rate, day = (1.0, None) if base == target else self._rate(base, target)
        converted = amount * rate
        said = f"{_money(amount, base)} {base} is {_money(converted, target)} {target}"
        of = f", at a rate of {rate:.6g} of {day}" if day else ""
        facts = {
            "from_currency": base,
            "to_currency": target,
            "amount": amount,
            "converted": float(f"{converted:.12g}"),
            "rate": rate,
            "rate_of": day,
        }
        return result(f"{said}{of}.", facts, SOURCE, self.api.recorded)

    def _rate(self, base: str, target: str) -> tuple[float, str]:
        try:
            answer = self.api.get("Frankfurter", f"{URL}/{base}/{target}", Rate, keep_s=KEEP_S)
        except Refused as error:
            if error.status not in (400, 404, 422):
                raise
            where = (
                "among the recorded rates (e.g. USD, EUR, GBP, JPY, THB); run without --offline"
                if self.api.recorded
                else "at frankfurter.dev; choose another currency"
            )
            raise ToolError(f"there is no rate from {base} to {target} {where}") from None
        if answer.rate <= 0:
            raise ToolError("Frankfurter answered with a rate that is none")
        return answer.rate, plain(answer.date, 20)


def code_of(text: str) -> str:
    """The ISO 4217 code that a code, a name, a plural or a sign means.

    >>> [code_of(text) for text in ("usd", "US dollars", "euros", "€", "British pounds", "bucks")]
    ['USD', 'USD', 'EUR', 'EUR', 'GBP', 'USD']

    Raises:
        ToolError: no current currency has this name, or several have it (names them).
    """
    asked = plain(text, MAX_NAME)
    names = _names()
    # "USD ($)" and "THB - Thai baht" hold a code in capitals, whatever else they say.
    held = {word for word in re.findall(r"\b[A-Z]{3}\b", asked) if {word} == names.get(word.casefold())}
    if len(held) == 1:
        return held.pop()
    found = next((names[form] for form in _forms(asked) if form in names), set())
    if len(found) == 1:
        return next(iter(found))
    if found:
        raise ToolError(f"{asked!r} can be {', '.join(sorted(found))}: give the ISO code")
    raise ToolError(
        f"{asked!r} is no currency that is known: use an ISO code (USD, EUR) or a name (US dollar, Thai baht)"
    )


def _code(argument: str, text: str) -> str:
    try:
        return code_of(text)
    except ToolError as error:
        raise ToolError(f"{argument}: {error}") from None


@functools.cache
def _names() -> dict[str, set[str]]:
    """From every name, folded, to the codes it can mean; only money that is legal tender somewhere today."""
    from babel import Locale
    from babel.core import get_global
    from babel.numbers import get_currency_name, get_territory_currencies

    english = Locale("en")
    codes = {
        code
        for territory in get_global("territory_currencies")
        for code in get_territory_currencies(territory, tender=True)
    }
    full: dict[str, set[str]] = defaultdict(set)
    last_word: dict[str, set[str]] = defaultdict(set)
    for code in codes:
        said = {get_currency_name(code, count=count, locale=english) for count in (None, 1, 2)}
        for name in said | {code, english.currency_symbols.get(code, code)}:
            for form in _forms(name):
                full[form].add(code)
        for name in said:
            for form in _forms(name.split()[-1]):
                last_word[form].add(code)
    meant = {
        form: {code}
        for code, listed in MEANT.items()
        for each in listed.split(",")
        for form in (*_forms(each), *_forms(each + "s"))
    }
    return {**last_word, **full, **meant}


def _forms(text: str) -> list[str]:
    """The text folded, and then without the plural's s: 'U.S. Dollars' -> 'us dollars', 'us dollar'."""
    bare = unicodedata.normalize("NFKD", text.casefold().replace("ł", "l"))
    bare = "".join(char for char in bare if not unicodedata.combining(char))
    bare = " ".join(re.sub(r"[.,;:!?()\"'’]", "", bare).split()).removeprefix("the ")
    return [bare, bare.removesuffix("s")] if bare.endswith("s") and len(bare) > 3 else [bare]


def _money(amount: float, code: str) -> str:
    """With the digits that the currency has (yen none), and with more where those would show nothing."""
    from babel.numbers import get_currency_precision

    if 0 < amount < 1:
        return f"{amount:.4g}"
    return f"{amount:,.{get_currency_precision(code)}f}"
