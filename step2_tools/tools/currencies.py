"""From names, plurals, signs, slang and codes of currencies to ISO 4217 codes, with Unicode CLDR from Babel.

    >>> codes("British pounds"), codes("dinar")
    ({'GBP'}, {'BHD', 'DZD', 'IQD', 'JOD', 'KWD', 'LYD', 'RSD', 'TND'})

Only currencies that are legal tender today. A name that several currencies share gives all of them.
"""

import functools
import re
import unicodedata
from collections import defaultdict

from babel import Locale
from babel.core import get_global
from babel.numbers import get_currency_name, get_territory_currencies

# Slang and signs, which CLDR lacks; and for some names that several currencies share, the usual meaning.
# Other shared names ("dinar", "krone") stay ambiguous.
EXTRA_NAMES = {
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
    """The ISO codes that a text can mean; empty if it is not a currency."""
    names = _codes_by_name()
    # A code in capitals decides, as in "USD ($)" and "THB - Thai baht".
    capitals = set(re.findall(r"\b[A-Z]{3}\b", text))
    in_text = {word for word in capitals if names.get(word.casefold()) == {word}}
    if len(in_text) == 1:
        return in_text
    for form in _normalized(text):
        if form in names:
            return names[form]
    return set()


@functools.cache
def _codes_by_name() -> dict[str, set[str]]:
    """From every normalized name to the codes that it can mean."""
    english = Locale("en")
    codes: set[str] = set()
    for territory in get_global("territory_currencies"):
        codes.update(get_territory_currencies(territory, tender=True))
    full: dict[str, set[str]] = defaultdict(set)
    last_word: dict[str, set[str]] = defaultdict(set)
    for code in codes:
        names = {get_currency_name(code, count=count, locale=english) for count in (None, 1, 2)}
        for name in names | {code, english.currency_symbols.get(code, code)}:
            for form in _normalized(name):
                full[form].add(code)
        for name in names:
            for form in _normalized(name.split()[-1]):
                last_word[form].add(code)
    extra: dict[str, set[str]] = {}
    for code, names_of_code in EXTRA_NAMES.items():
        for name in names_of_code.split(","):
            for form in (*_normalized(name), *_normalized(name + "s")):
                extra[form] = {code}
    return {**last_word, **full, **extra}


def _normalized(text: str) -> list[str]:
    """The text normalized, with and without a plural s: 'U.S. Dollars' -> 'us dollars', 'us dollar'."""
    bare = unicodedata.normalize("NFKD", text.casefold().replace("ł", "l"))
    bare = "".join(char for char in bare if not unicodedata.combining(char))
    bare = " ".join(re.sub(r"[.,;:!?()\"'’]", "", bare).split()).removeprefix("the ")
    if bare.endswith("s") and len(bare) > 3:
        return [bare, bare.removesuffix("s")]
    return [bare]
