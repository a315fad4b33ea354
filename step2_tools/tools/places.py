"""Finds a city by name: coordinates, country and time zone, from Open-Meteo's geocoder.

    find(api, "Paris")             Paris, Île-de-France, France (and that there are others)
    find(api, "Paris, Texas")      Paris, Texas, United States

Of several places with the same name, the most populous is chosen, unless a state or country follows the name.
Only names of inhabited places are found, not addresses or coordinates.

Source: https://open-meteo.com/en/docs/geocoding-api (data: GeoNames, CC BY 4.0)
"""

import unicodedata
from dataclasses import dataclass

from anthropic.lib.tools import ToolError
from pydantic import Field

from step2_tools.agent.tool import sanitize
from step2_tools.tools.http import Api, ResponseModel

URL = "https://geocoding-api.open-meteo.com/v1/search"
MAX_NAME = 100

# Short forms of states and countries that people and models write after a city's name.
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
FULL_NAMES: dict[str, str] = {}
for pair in STATES_AND_COUNTRIES.split():
    short, _, full = pair.partition(":")
    FULL_NAMES[short] = full.replace("_", " ")


class Place(ResponseModel):
    """One result of the geocoder, with the fields that we use."""

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
        """Name, state and country, without repetitions."""
        parts = [sanitize(part) for part in (self.name, self.admin1, self.country) if part]
        return ", ".join(dict.fromkeys(parts))


class Places(ResponseModel):
    """The geocoder's response; if nothing matches, it has no `results`."""

    results: list[Place] = Field(default_factory=list)


@dataclass(frozen=True)
class Match:
    """The place that was chosen, and the other places that match the query, most populous first."""

    place: Place
    others: list[Place]
    show_state: bool  # because other places have the same name

    @property
    def label(self) -> str:
        """'Bangkok, Thailand', but 'Paris, Texas, United States'."""
        if self.show_state or not self.place.country:
            return self.place.label
        return self.place.model_copy(update={"admin1": ""}).label

    @property
    def note(self) -> str:
        """A note for the summary if another place with this name is not much smaller; else empty."""
        if not self.others or self.others[0].population * 10 < self.place.population:
            return ""
        return f" (the largest of {len(self.others) + 1} places of this name)"

    def facts(self) -> dict[str, object]:
        """The facts about the place for a tool's result."""
        about: dict[str, object] = {"place": self.label, "country": sanitize(self.place.country)}
        if self.others:
            about["other_places"] = [place.label for place in self.others[:5]]
            about["hint"] = "for another one, put its state or country behind the name: 'Paris, Texas'"
        return about


def find(api: Api, city: str) -> Match:
    """Find a place by name.

    Raises:
        ToolError: there is no such city (or none in that state or country), or the geocoder fails.
    """
    query = sanitize(city, MAX_NAME + 1)
    if not query.strip(" ,") or len(query) > MAX_NAME:
        raise ToolError(f"city must be the name of one city, of 1 to {MAX_NAME} characters")
    name, *within = [part for part in query.split(",") if part.strip()]
    places = _search(api, name)
    if not places and not within:  # "Portland Oregon" has no comma
        words = name.split()
        for size in range(1, min(3, len(words))):
            head = " ".join(words[:-size])
            tail = " ".join(words[-size:])
            places = _search(api, head)
            if any(_is_in(place, tail) for place in places):
                return _choose(head, places, [tail])
        places = []
    if not places:
        raise ToolError(_unknown(api, query))
    return _choose(name, places, within)


def _search(api: Api, name: str) -> list[Place]:
    params = {"name": name.strip(), "count": "100", "language": "en", "format": "json"}
    results = api.get("Open-Meteo's geocoder", URL, Places, params).results
    # Countries, mountains and airports count only if no inhabited place has the name.
    inhabited = [place for place in results if place.feature_code.startswith("PPL")]
    return inhabited or results


def _choose(name: str, places: list[Place], within: list[str]) -> Match:
    """The most populous place with exactly this name; if none has it (another spelling), of all results.

    Raises:
        ToolError: no place is in all states and countries of `within` (the message names others).
    """
    exact = [place for place in places if normalize_name(place.name) == normalize_name(name)]
    ordered = sorted(exact or places, key=lambda place: -place.population)
    fitting = [place for place in ordered if all(_is_in(place, region) for region in within)]
    if not fitting:
        regions = ", ".join(region.strip() for region in within)
        there = "; ".join(place.label for place in ordered[:3])
        raise ToolError(f"no {name.strip()} in {regions}; there is {there}")
    first = fitting[0]
    namesakes = [place for place in ordered if place.name == first.name and place is not first]
    others = [place for place in namesakes if place in fitting]
    return Match(first, others, show_state=bool(namesakes))


def _is_in(place: Place, region: str) -> bool:
    """Whether the place is in the state or country with this name."""
    searched = normalize_name(region).removeprefix("the ")
    names = {normalize_name(name) for name in (place.admin1, place.country, place.country_code) if name}
    return searched in names or FULL_NAMES.get(searched) in names


def normalize_name(text: str) -> str:
    """The text without case, accents, dots and extra spaces: 'São  Paulo' is 'sao paulo', 'D.C.' is 'dc'."""
    bare = unicodedata.normalize("NFKD", text.casefold()).replace(".", "")
    return " ".join("".join(char for char in bare if not unicodedata.combining(char)).split())


def _unknown(api: Api, query: str) -> str:
    if api.sample_date:
        return (
            f"{query!r} is not among the cities of the sample data (Bangkok, London, Paris, Tokyo, …); "
            "run without --offline"
        )
    return f"no city named {query!r} was found; check the spelling, or name a larger city nearby"
