from datetime import UTC, datetime

import pytest

from step2_tools.tools.clock import Clock
from tests.step2.fake_services import facts, refusal, service

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def clock(zone, now=NOON):
    place = {"name": "Somewhere", "country": "Land", "latitude": 1, "longitude": 2, "timezone": zone}
    api, _ = service({"results": [place]})
    return Clock(api, now=lambda: now)


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("Asia/Tokyo", "it is 21:00 on Friday, 20 November 2026 (JST, UTC+09:00)."),
        ("Pacific/Auckland", "it is 01:00 on Saturday, 21 November 2026 (NZDT, UTC+13:00)."),
        ("Asia/Dubai", "it is 16:00 on Friday, 20 November 2026 (UTC+04:00)."),
    ],
)
def test_the_time_is_that_of_the_citys_zone(zone, words):
    assert facts(clock(zone).get_time("Somewhere"))["summary"] == f"In Somewhere, Land {words}"


def test_summer_time_counts_and_the_facts_are_separate_fields():
    got = facts(clock("Europe/Berlin", datetime(2026, 7, 1, 12, 0, tzinfo=UTC)).get_time("Somewhere"))
    assert (got["place"], got["time_zone"]) == ("Somewhere, Land", "Europe/Berlin")
    assert (got["weekday"], got["date"], got["time"]) == ("Wednesday", "2026-07-01", "14:00")
    assert got["utc_offset"] == "+02:00"
    assert "this machine's clock" in got["source"]


@pytest.mark.parametrize("zone", ["Mars/Olympus", None, "../../etc/passwd", "a\x00b"])
def test_an_unknown_zone_is_one_clear_line(zone):
    assert refusal(clock(zone).get_time, "Somewhere").startswith(
        "the time zone of Somewhere, Land is not known"
    )
