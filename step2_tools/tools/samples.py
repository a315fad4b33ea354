"""Sample data in place of the real services: an HTTP transport for the same client.

    Api(transport=transport(), sample_date=sample_date())

All other code runs as with the real services: parsing, checks, choice of the city. samples/*.json contain
responses in the services' formats. They are made up: nobody measured that weather or paid those prices. For
anything else the response is the one that the service would give: no results, 404, 422.
"""

import difflib
import functools
import json
import re
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from step2_tools.tools.places import normalize_name

T = TypeVar("T")
FOLDER = Path(__file__).with_name("samples")
LEGAL_FORMS = "inc|incorporated|corp|corporation|company|co|plc|ag|se|sa|nv|ltd|limited|group|holdings?"
MIN_SIMILARITY = 0.86  # of a misspelt name; the real searches tolerate about as much


def transport() -> httpx2.BaseTransport:
    """A transport that answers the services' URLs from the files and any other URL with 404."""
    return httpx2.MockTransport(_answer)


def sample_date() -> str:
    """The date that counts as today in the sample data."""
    return _file("forecast")["sample_date"]


def _answer(request: httpx2.Request) -> httpx2.Response:
    params = request.url.params
    path = request.url.path
    match request.url.host:
        case "geocoding-api.open-meteo.com":
            return httpx2.Response(200, json=_geocoded(params["name"]))
        case "api.open-meteo.com":
            return _forecast(f"{float(params['latitude']):.2f},{float(params['longitude']):.2f}")
        case "query1.finance.yahoo.com" if path.endswith("/search"):
            return httpx2.Response(200, json=_companies(params["q"]))
        case "query1.finance.yahoo.com":
            return _chart(path.rsplit("/", 1)[-1])
        case "api.frankfurter.dev":
            return _rate(*path.rsplit("/", 2)[-2:])
    return httpx2.Response(404, json={"reason": "there is no sample data for this address"})


def _geocoded(name: str) -> dict[str, Any]:
    """All places with the name, or with the most similar name in the sample data."""
    file = _file("geocoding")
    places: dict[str, list[Any]] = {}
    for place in file["results"]:
        places.setdefault(normalize_name(place["name"]), []).append(place)
    aliases = {alias: places[normalize_name(name)] for alias, name in file["aliases"].items()}
    results = _most_similar(name, {**aliases, **places})
    if not results:
        return {"generationtime_ms": 0.5}
    return {"results": results, "generationtime_ms": 0.5}


def _forecast(place: str) -> httpx2.Response:
    file = _file("forecast")
    if place not in file["places"]:
        return httpx2.Response(400, json={"error": True, "reason": "there is no sample data for this place"})
    sample = file["places"][place]
    daily = dict(zip(file["daily_units"], sample["daily"], strict=True))
    head = {key: sample[key] for key in ("latitude", "longitude", "elevation", "timezone")}
    units = {key: file[key] for key in ("current_units", "daily_units")}
    return httpx2.Response(200, json={**head, **units, "current": sample["current"], "daily": daily})


def _companies(text: str) -> dict[str, Any]:
    metas = _file("chart")["metas"]
    names = {symbol.casefold(): symbol for symbol in metas}
    names |= {_company(meta["longName"]): symbol for symbol, meta in metas.items()}
    names |= _file("chart")["aliases"]
    symbol = _most_similar(_company(text), names)
    if not symbol:
        return {"count": 0, "quotes": []}
    hit = {"symbol": symbol, "longname": metas[symbol]["longName"], "quoteType": "EQUITY"}
    return {"count": 1, "quotes": [hit]}


def _chart(symbol: str) -> httpx2.Response:
    meta = _file("chart")["metas"].get(symbol)
    if meta is None:
        error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
        return httpx2.Response(404, json={"chart": {"result": None, "error": error}})
    shared = _file("chart")["shared"]
    return httpx2.Response(200, json={"chart": {"result": [{"meta": {**shared, **meta}}], "error": None}})


def _rate(base: str, quote: str) -> httpx2.Response:
    """The cross rate from both currencies' rates to the euro."""
    file = _file("rates")
    per_euro = {"EUR": 1.0, **{row["quote"]: row["rate"] for row in file["rows"]}}
    if base not in per_euro or quote not in per_euro:
        return httpx2.Response(422, json={"status": 422, "message": "invalid currency"})
    rate = float(f"{per_euro[quote] / per_euro[base]:.6g}")
    return httpx2.Response(200, json={"date": file["date"], "base": base, "quote": quote, "rate": rate})


def _most_similar(text: str, names: dict[str, T]) -> T | None:
    name = normalize_name(text)
    if name in names:
        return names[name]
    if len(name) <= 4:  # short names differ in one letter only: Laos is not Lagos
        return None
    near = difflib.get_close_matches(name, names, n=1, cutoff=MIN_SIMILARITY)
    return names[near[0]] if near else None


def _company(name: str) -> str:
    """The name without its legal form: 'The Coca-Cola Company' is 'coca-cola'."""
    bare = re.sub(r"[,.]|'s?\b", "", normalize_name(name)).removeprefix("the ")
    return re.sub(r"\s*&$", "", re.sub(rf"\s+({LEGAL_FORMS}|stock|shares?)\b", "", bare)).strip()


@functools.cache
def _file(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
