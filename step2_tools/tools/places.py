"""From the name of a city to the place: coordinates, country and time zone, by Open-Meteo's geocoder.

    find(api, "Paris")             Paris, Île-de-France, France (and that there are others)
    find(api, "Paris, Texas")      Paris, Texas, United States

Of several places of one name the most populous is meant, unless a state or country follows the name.
It knows inhabited places by name; no addresses, no coordinates.

Source: https://open-meteo.com/en/docs/geocoding-api (data: GeoNames, CC BY 4.0)
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from anthropic.lib.tools import ToolError
from pydantic import Field

from step2_tools.agent.tool import sanitize
from step2_tools.tools.http import Api, Shape

URL = "https://geocoding-api.open-meteo.com/v1/search"
MAX_NAME = 100

# How people shorten states and countries that a model or a learner writes behind a city.
STATES_AND_COUNTRIES = (
    "al:alabama ak:alaska az:arizona ar:arkansas ca:california co:colorado ct:connecticut de:delaware "
    "fl:florida ga:georgia hi:hawaii id:idaho il:illinois in:indiana ia:iowa ks:kansas ky:kentucky "
    "la:louisiana me:maine md:maryland ma:massachusetts mi:michigan mn:minnesota ms:mississippi "
    "mo:missouri mt:montana ne:nebraska nv:nevada nh:new_hampshire nj:new_jersey nm:new_mexico "
    "ny:new_york nc:north_carolina nd:north_dakota oh:ohio ok:oklahoma or:oregon pa:pennsylvania "
    "ri:rhode_island sc:south_carolina sd:south_dakota tn:tennessee tx:texas ut:utah vt:vermont "
    "va:virginia wa:washington wv:west_virginia wi:wisconsin wy:wyoming dc:district_of_columbia "
    "us:united_states usa:united_states america:united_states uk:united_kingdom "
    "gb:united_kingdom britain:united_kingdom uae:united_arab_emirates holland:netherlands "
    "korea:south_korea"
)
SHORT = {
    short: name.replace("_", " ")
    for short, _, name in (pair.partition(":") for pair in STATES_AND_COUNTRIES.split())
}


class Place(Shape):
    """One result of the geocoder; the fields that are used."""

    name: str
    latitude: float
    longitude: float
    country: str = ""
    country_code: str = ""
    admin1: str = ""
    timezone: str | None = None
    population: int = 0
    feature_code: str = ""

    @property
    def label(self) -> str:
        """Name, state and country, without saying anything twice in a row."""
        parts = [sanitize(part) for part in (self.name, self.admin1, self.country) if part]
        return ", ".join(part for i, part in enumerate(parts) if part not in parts[:i])


class Answer(Shape):
    """When nothing matches, `results` is missing."""

    results: list[Place] = Field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """The place that is meant, and the others that fit what was asked, most populous first."""

    place: Place
    others: list[Place]
    full: bool  # whether the state belongs to the label, because there are others of this name anywhere

    @property
    def label(self) -> str:
        """'Bangkok, Thailand', but 'Paris, Texas, United States'."""
        if self.full or not self.place.country:
            return self.place.label
        return self.place.model_copy(update={"admin1": ""}).label

    @property
    def doubt(self) -> str:
        """A remark for the summary when another place of the name is not much smaller."""
        if not self.others or self.others[0].population * 10 < self.place.population:
            return ""
        return f" (the largest of {len(self.others) + 1} places of this name)"

    def facts(self) -> dict[str, object]:
        """What a result says about the choice."""
        facts: dict[str, object] = {"place": self.label, "country": sanitize(self.place.country)}
        if self.others:
            facts["other_places"] = [each.label for each in self.others[:5]]
            facts["hint"] = "for another one, put its state or country behind the name: 'Paris, Texas'"
        return facts


def find(api: Api, city: str) -> Found:
    """The place a name means.

    Raises:
        ToolError: no such city (or none in that state or country), or the geocoder fails.
    """
    asked = sanitize(city, MAX_NAME + 1)
    if not asked.strip(" ,") or len(asked) > MAX_NAME:
        raise ToolError(f"city must be the name of one city, of 1 to {MAX_NAME} characters")
    name, *within = [part for part in asked.split(",") if part.strip()]
    places = _search(api, name)
    if not places and not within:  # "Portland Oregon" has no comma
        words = name.split()
        for size in range(1, min(3, len(words))):
            head, tail = " ".join(words[:-size]), " ".join(words[-size:])
            places = _search(api, head)
            if any(_is_in(each, tail) for each in places):
                return _choose(head, places, [tail])
        places = []
    if not places:
        raise ToolError(_unknown(api, asked))
    return _choose(name, places, within)


def _search(api: Api, name: str) -> list[Place]:
    params = {"name": name.strip(), "count": "100", "language": "en", "format": "json"}
    found = api.get("Open-Meteo's geocoder", URL, Answer, params).results
    # Countries, mountains and airports have names too; they serve only when no inhabited place does.
    return [each for each in found if each.feature_code.startswith("PPL")] or found


def _choose(name: str, places: list[Place], within: list[str]) -> Found:
    """The most populous of exactly this name; of all results when none has it (another spelling).

    Raises:
        ToolError: none lies in the states and countries of `within`; says where there are some.
    """
    exact = [each for each in places if folded(each.name) == folded(name)]
    ordered = sorted(exact or places, key=lambda each: -each.population)
    fitting = [each for each in ordered if all(_is_in(each, part) for part in within)]
    if not fitting:
        there = "; ".join(each.label for each in ordered[:3])
        raise ToolError(
            f"no {name.strip()} in {', '.join(part.strip() for part in within)}; there is {there}"
        )
    first = fitting[0]
    same = [each for each in ordered if each.name == first.name and each is not first]
    return Found(first, [each for each in same if each in fitting], full=bool(same))


def _is_in(place: Place, part: str) -> bool:
    """Whether the place lies in the state or country of this name."""
    wanted = folded(part).removeprefix("the ")
    names = {folded(each) for each in (place.admin1, place.country, place.country_code) if each}
    return wanted in names or SHORT.get(wanted, wanted) in names


def folded(text: str) -> str:
    """Without case, accents, dots and needless space: 'São  Paulo' is 'sao paulo', 'D.C.' is 'dc'."""
    bare = unicodedata.normalize("NFKD", text.casefold()).replace(".", "")
    return " ".join("".join(char for char in bare if not unicodedata.combining(char)).split())


def _unknown(api: Api, asked: str) -> str:
    if api.sample_date:
        return (
            f"{asked!r} is not among the cities of the sample data (Bangkok, London, Paris, Tokyo, …); "
            "run without --offline"
        )
    return f"no city named {asked!r} was found; check the spelling, or name a larger city nearby"
