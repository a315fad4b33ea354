"""The summary against a plain Python account of the same calls, on both databases."""

import inspect
import statistics
from datetime import timedelta

import hypothesis
import pytest
from hypothesis import strategies as st

from shared.errors import UserError
from step3_rag.cli.app import answer_question
from step3_rag.reflect.loop import THRESHOLD
from step5_serving.telemetry import metrics, reading
from step5_serving.telemetry.summary import BUCKETS, LONGEST, _width, parse_since, summarize
from tests.step5.telemetry_parts import after, call_of, made_up, record
from tests.step5.test_telemetry_metrics import ALERTS


def rank(values, p):
    """The nearest rank, by its definition: the smallest value that p % of the values don't exceed."""
    ordered = sorted(values)
    return next(each for each in ordered if 100 * sum(v <= each for v in ordered) >= p * len(ordered))


@hypothesis.given(st.integers(1, LONGEST), st.integers(0, 10**15))
def test_there_are_never_more_buckets_than_a_screen_shows(seconds, begin):
    width = _width(seconds) * 10**6
    assert (begin + seconds * 10**6) // width - begin // width + 1 <= BUCKETS
    assert seconds < 100 or seconds * 10**6 / width > 2


def test_the_summary_is_that_of_the_calls(database):
    made = list(made_up(200, after(0), 36))
    got = summarize(record(database, *made), timedelta(hours=1), at=after(0))
    calls = [each for each in made if each.started_at >= after(-3600) and each.route == "query"]
    answered = [each for each in calls if each.status == 200]
    assert got["calls"] == len(calls)
    assert got["errors"] == sum(each.status == 503 for each in calls)
    assert got["refused"] == sum(each.status == 429 for each in calls)
    assert got["error_rate"] == pytest.approx(got["errors"] / len(calls))
    assert got["unknown_costs"] == sum(each.cost_usd is None for each in calls)
    assert got["cost_usd"] == pytest.approx(sum(each.cost_usd or 0 for each in calls))
    assert got["tokens"]["input"] == sum(each.input_tokens or 0 for each in calls)
    known = [each.confidence for each in calls if each.confidence is not None]
    assert got["mean_confidence"] == pytest.approx(statistics.mean(known))
    for stage in ("total", "retrieve"):
        times = [getattr(each, f"{stage}_ms") for each in answered]
        times = [each for each in times if each is not None]
        assert got["latency_ms"][stage] == {"p50": rank(times, 50), "p95": rank(times, 95)}
    doubtful = sorted(each.confidence for each in answered if (each.confidence or 1) < 0.35)[:10]
    assert [each["confidence"] for each in got["low_confidence"]] == pytest.approx(doubtful)
    for row, version in zip(got["by_prompt_version"], (1, 2), strict=True):
        mine = [each for each in calls if each.prompt_version == version]
        assert row["prompt_version"] == mine[0].prompt
        assert row["calls"] == len(mine)
        assert row["p95_ms"] == rank([each.total_ms for each in mine if each.status == 200], 95)
    assert sum(each["calls"] for each in got["series"]) == len(calls)
    assert sum(each["cost_usd"] or 0 for each in got["series"]) == pytest.approx(got["cost_usd"])
    assert 30 <= len(got["series"]) <= BUCKETS
    starts = [each["start"] for each in got["series"]]
    assert starts == sorted(set(starts))


def test_the_summary_of_no_calls(database):
    got = summarize(record(database), timedelta(hours=1), at=after(0))
    assert (got["calls"], got["error_rate"], got["cost_usd"]) == (0, None, 0.0)
    assert got["latency_ms"]["total"] == {"p50": None, "p95": None}
    assert got["by_prompt_version"] == got["low_confidence"] == []
    assert all(each["p50_ms"] is None for each in got["series"])
    got = summarize(record(database, call_of(cost_usd=None)), timedelta(hours=1), at=after(1))
    assert (got["cost_usd"], got["unknown_costs"]) == (None, 1)  # unknown is not 0


@pytest.mark.parametrize(
    ("text", "length"), [("24h", 86400), ("30m", 1800), ("7d", 604_800), (" 2W ", 1_209_600), ("1s", 1)]
)
def test_lengths_of_time(text, length):
    assert parse_since(text) == timedelta(seconds=length)


@pytest.mark.parametrize("text", ["", "24", "0h", "-1h", "1y", "1.5h", "9" * 7 + "h", "h", "36501d"])
def test_other_texts_are_no_lengths_of_time(text):
    with pytest.raises(UserError, match="not a length of time"):
        parse_since(text)


def test_low_confidence_is_below_the_threshold_of_step_3():
    """The number has copies: telemetry imports nothing of step 3, the alert is YAML, and --help is quick."""
    default = inspect.signature(answer_question).parameters["threshold"].default
    assert default == reading.LOW == THRESHOLD
    alerts = ALERTS.read_text(encoding="utf-8")
    assert f'rag_confidence_bucket{{le="{THRESHOLD}"}}' in alerts
    assert THRESHOLD in metrics.PROBABILITIES
