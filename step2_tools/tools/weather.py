"""The weather tool: Open-Meteo's forecast for a city, for now or one of seven days.

    Weather(api).get_weather("Bangkok", day="tomorrow")
    {"summary": "In Bangkok, Thailand on Saturday, 21 November it will be 24 to 32 °C, ...", ...}

Days are in the city's time zone: "today" in Auckland is not "today" in Honolulu. Seven days are available,
from today.

Source: https://open-meteo.com/en/docs (weather data CC BY 4.0, no key, 10,000 calls a day)
"""

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal, get_args

from anthropic.lib.tools import ToolError

from step2_tools.agent.tool import result
from step2_tools.tools import places
from step2_tools.tools.http import Api, ResponseModel

URL = "https://api.open-meteo.com/v1/forecast"
SOURCE = "Weather data by Open-Meteo.com (CC BY 4.0)"

Unit = Literal["celsius", "fahrenheit"]
NextDay = Literal["today", "tomorrow", "day after tomorrow"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
DayName = Literal[NextDay, Weekday]
NEXT_DAYS = get_args(NextDay)
WEEKDAYS = get_args(Weekday)

# WMO code table 4677, the part that Open-Meteo uses.
SKY = {
    0: "clear sky",
    1: "mainly clear",
    2: "partly cloudy",
    3: "overcast",
    45: "fog",
    48: "freezing fog",
    51: "light drizzle",
    53: "drizzle",
    55: "heavy drizzle",
    56: "light freezing drizzle",
    57: "freezing drizzle",
    61: "light rain",
    63: "rain",
    65: "heavy rain",
    66: "light freezing rain",
    67: "freezing rain",
    71: "light snow",
    73: "snow",
    75: "heavy snow",
    77: "snow grains",
    80: "light rain showers",
    81: "rain showers",
    82: "violent rain showers",
    85: "light snow showers",
    86: "heavy snow showers",
    95: "thunderstorm",
    96: "thunderstorm with light hail",
    99: "thunderstorm with heavy hail",
}

SKY_WORDS: set[str] = set()
for sky in SKY.values():
    SKY_WORDS.update(sky.split())
SKY_WORDS.remove("with")

# Requests to the service always use °C, km/h and mm.
UNITS = {
    "celsius": {"temperature": "°C", "wind": "km/h", "rain": "mm"},
    "fahrenheit": {"temperature": "°F", "wind": "mph", "rain": "inch"},
}


class Current(ResponseModel):
    """The weather now; `time` is the city's local time."""

    time: datetime
    temperature_2m: float
    apparent_temperature: float | None = None
    relative_humidity_2m: float | None = None
    weather_code: int
    wind_speed_10m: float


class Daily(ResponseModel):
    """Lists with one item per day; null if the weather model has no value."""

    time: list[date]
    weather_code: list[int | None]
    temperature_2m_max: list[float | None]
    temperature_2m_min: list[float | None]
    precipitation_sum: list[float | None]
    precipitation_probability_max: list[float | None]
    wind_speed_10m_max: list[float | None]


class Forecast(ResponseModel):
    """The part of the response that we use."""

    current: Current
    daily: Daily


@dataclass(frozen=True)
class Now:
    """The weather now, in the result's units; None if the weather model has no value."""

    local_time: str
    temperature: float | None
    feels_like: float | None
    humidity_percent: float | None
    sky: str
    wind: float | None

    def in_words(self, units: dict[str, str]) -> str:
        """'it is 32 °C now, clear sky, humidity 66 %, wind 15 km/h'."""
        humidity = "" if self.humidity_percent is None else f"humidity {self.humidity_percent:.0f} %, "
        temperature = f"{self.temperature} {units['temperature']}"
        return f"it is {temperature} now, {self.sky}, {humidity}wind {self.wind} {units['wind']}"


@dataclass(frozen=True)
class Day:
    """The weather of a day, in the result's units; None if the weather model has no value."""

    sky: str
    low: float | None
    high: float | None
    rain: float | None
    chance_of_rain_percent: float | None
    wind_up_to: float | None

    def in_words(self, units: dict[str, str]) -> str:
        """'24 to 32 °C, light rain, 60 % chance of rain, wind up to 14 km/h', without unknown values."""
        parts = []
        limits = [str(limit) for limit in (self.low, self.high) if limit is not None]
        if limits:
            parts.append(f"{' to '.join(limits)} {units['temperature']}")
        parts.append(self.sky)
        if self.chance_of_rain_percent is not None:
            kind = "snow" if "snow" in self.sky else "rain"
            parts.append(f"{self.chance_of_rain_percent:.0f} % chance of {kind}")
        if self.wind_up_to is not None:
            parts.append(f"wind up to {self.wind_up_to} {units['wind']}")
        return ", ".join(parts)


class Weather:
    """The client; the method is the tool."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def get_weather(self, city: str, unit: Unit = "celsius", day: DayName = "today") -> str:
        """Get the weather in a city: current conditions, or the forecast for one of the next seven days.

        Args:
            city: Name of the city, e.g. Bangkok. Add the state or country if needed, e.g. Paris, Texas.
            unit: Unit of temperatures.
            day: The day of the forecast.

        Raises:
            ToolError: no such city, or the service fails.
        """
        match = places.find(self.api, city)
        forecast = self._forecast(match.place)
        today = forecast.current.time.date()
        which = today + timedelta(days=days_ahead(day, today))
        units = UNITS[unit]
        forecast_day = _of_day(forecast.daily, which, unit)
        fields: dict[str, Any] = {**match.facts(), "date": which.isoformat()}
        if which == today:
            now = _now(forecast.current, unit)
            fields["now"] = asdict(now)
            text = f"{now.in_words(units)}; today {forecast_day.in_words(units)}"
        else:
            text = f"on {which:%A}, {which.day} {which:%B} it will be {forecast_day.in_words(units)}"
        fields |= asdict(forecast_day)
        fields["units"] = units
        return result(f"In {match.label}{match.note} {text}.", fields, SOURCE, self.api.sample_date)

    def _forecast(self, place: places.Place) -> Forecast:
        params = {
            "latitude": f"{place.latitude:.4f}",
            "longitude": f"{place.longitude:.4f}",
            "current": _variables(Current),
            "daily": _variables(Daily),
            "timezone": "auto",
            "forecast_days": "7",
        }
        return self.api.get("Open-Meteo", URL, Forecast, params)


def _variables(model: type[ResponseModel]) -> str:
    """The names that a request lists; `time` comes with every response."""
    return ",".join(name for name in model.model_fields if name != "time")


def days_ahead(day: str, today: date) -> int:
    """The number of days from `today` to the day, 0 to 6.

    >>> days_ahead("monday", date(2026, 11, 20))  # a Friday
    3
    """
    if day in WEEKDAYS:
        return (WEEKDAYS.index(day) - today.weekday()) % 7
    return NEXT_DAYS.index(day)


def _of_day(daily: Daily, which: date, unit: Unit) -> Day:
    try:
        i = daily.time.index(which)
        return Day(
            sky=_sky(daily.weather_code[i]),
            low=_convert("temperature", daily.temperature_2m_min[i], unit),
            high=_convert("temperature", daily.temperature_2m_max[i], unit),
            rain=_convert("rain", daily.precipitation_sum[i], unit),
            chance_of_rain_percent=daily.precipitation_probability_max[i],
            wind_up_to=_convert("wind", daily.wind_speed_10m_max[i], unit),
        )
    except (ValueError, IndexError):
        served = f"{daily.time[0]} to {daily.time[-1]}" if daily.time else "no day"
        raise ToolError(f"Open-Meteo has no forecast for {which:%A}, {which}: it has {served}") from None


def _now(current: Current, unit: Unit) -> Now:
    return Now(
        local_time=current.time.isoformat(timespec="minutes"),
        temperature=_convert("temperature", current.temperature_2m, unit),
        feels_like=_convert("temperature", current.apparent_temperature, unit),
        humidity_percent=current.relative_humidity_2m,
        sky=_sky(current.weather_code),
        wind=_convert("wind", current.wind_speed_10m, unit),
    )


def _sky(code: int | None) -> str:
    return "weather unknown" if code is None else SKY.get(code, f"weather code {code}")


def _convert(kind: str, value: float | None, unit: Unit) -> float | None:
    """A value of the service in this unit; only rain (or melted snow) has decimals."""
    if value is None:
        return None
    if unit == "fahrenheit":
        value = {"temperature": value * 9 / 5 + 32, "wind": value / 1.609344, "rain": value / 25.4}[kind]
    if kind == "rain":
        return round(value, 2 if unit == "fahrenheit" else 1)
    return round(value)
