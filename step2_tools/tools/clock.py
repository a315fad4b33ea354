"""The clock tool: local date and time in a city.

    Clock(api).get_time("Tokyo")
    {"summary": "In Tokyo, Japan it is 09:30 on Saturday, 21 November 2026 (JST, UTC+09:00).", ...}

The geocoder gives the city's time zone; the time comes from this machine's clock.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from anthropic.lib.tools import ToolError

from step2_tools.agent.tool import result, sanitize
from step2_tools.tools import places
from step2_tools.tools.http import Api

SOURCE = "time zone by Open-Meteo.com's geocoder; the time is this machine's clock"


class Clock:
    """The client and the clock; the method is the tool."""

    def __init__(self, api: Api, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.api = api
        self.now = now

    def get_time(self, city: str) -> str:
        """Get the local time and date in a city, with its time zone.

        Args:
            city: Name of the city, e.g. Tokyo. Add the state or country if needed, e.g. Paris, Texas.

        Raises:
            ToolError: no such city, or the geocoder fails.
        """
        match = places.find(self.api, city)
        zone = match.place.timezone or ""
        try:
            local = self.now().astimezone(ZoneInfo(zone))
        except (KeyError, ValueError, OSError):  # no zone, or one that this machine's database lacks
            raise ToolError(
                f"the time zone of {match.label} is not known ({sanitize(zone) or 'none'})"
            ) from None
        offset = local.isoformat()[-6:]
        letters = f"{local:%Z}"
        name = "" if letters[:1] in "+-" else f"{letters}, "  # many zones have no letters: "+04"
        time = f"{local:%H:%M} on {local:%A}, {local.day} {local:%B %Y} ({name}UTC{offset})"
        facts = {
            **match.facts(),
            "time": f"{local:%H:%M}",
            "date": local.date().isoformat(),
            "weekday": f"{local:%A}",
            "time_zone": zone,
            "utc_offset": offset,
        }
        summary = f"In {match.label}{match.note} it is {time}."
        return result(summary, facts, SOURCE, self.api.sample_date, "time zone: ")
