"""Which currency is meant? Names, plurals, signs, slang and codes to ISO 4217, by Unicode CLDR through Babel.

    >>> codes("British pounds"), codes("dinar")
    ({'GBP'}, {'BHD', 'DZD', 'IQD', 'JOD', 'KWD', 'LYD', 'RSD', 'TND'})

Only money that is legal tender somewhere today. A name that several currencies share gives them all.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import defaultdict

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


def codes(text: str) -> set[str]:
    """The ISO codes that a text can mean; none if it is no currency."""
    names = _names()
    # "USD ($)" and "THB - Thai baht" hold a code in capitals, whatever else they say.
    held = {word for word in re.findall(r"\b[A-Z]{3}\b", text) if {word} == names.get(word.casefold())}
    if len(held) == 1:
        return held
    return next((names[form] for form in _forms(text) if form in names), set())


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
