"""The clock tool: local date and time in a city.

    Clock(api).get_time("Tokyo")
    {"summary": "In Tokyo, Japan it is 09:30 on Saturday, 21 November 2026 (JST, UTC+09:00).", ...}

The geocoder knows the city's time zone; the time itself is this machine's, so it is as right as its clock.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from anthropic.lib.tools import ToolError

from step2_tools.agent.tool import result, sanitize
from step2_tools.tools import places
from step2_tools.tools.http import Api

SOURCE = "time zone by Open-Meteo.com's geocoder; the time is this machine's clock"


class Clock:
    """Holds the client and the clock; its method is the tool."""

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
        found = places.find(self.api, city)
        zone = found.place.timezone or ""
        try:
            local = self.now().astimezone(ZoneInfo(zone))
        except (KeyError, ValueError, OSError):  # no zone, or one that this machine's database lacks
            raise ToolError(
                f"the time zone of {found.label} is not known ({sanitize(zone) or 'none'})"
            ) from None
        offset, letters = local.isoformat()[-6:], f"{local:%Z}"
        name = "" if letters[:1] in "+-" else f"{letters}, "  # many zones have none: "+04"
        said = f"it is {local:%H:%M} on {local:%A}, {local.day} {local:%B %Y} ({name}UTC{offset})"
        facts = {
            **found.facts(),
            "time": f"{local:%H:%M}",
            "date": local.date().isoformat(),
            "weekday": f"{local:%A}",
            "time_zone": zone,
            "utc_offset": offset,
        }
        return result(
            f"In {found.label}{found.doubt} {said}.", facts, SOURCE, self.api.sample_date, "time zone: "
        )
