"""Prometheus: the metrics page and the alert rules."""

import re
import shutil
import subprocess
from types import SimpleNamespace

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from step5_serving.telemetry.metrics import Metrics
from tests.conftest import ROOT
from tests.step5.telemetry_parts import call_of


def samples_of(metrics):
    families = text_string_to_metric_families(metrics.page().decode())
    return [sample for family in families for sample in family.samples]


def test_calls_are_counted():
    metrics = Metrics(SimpleNamespace(running=1, waiting=3))
    metrics.observe(call_of(cost_usd=0.25))
    metrics.observe(call_of(cost_usd=None, abstained=True, confidence=0.4))
    metrics.observe(call_of(status=503, error_type="overloaded_error", cost_usd=0.0, input_tokens=None))
    got = {(each.name, *sorted(each.labels.values())): each.value for each in samples_of(metrics)}
    assert got["rag_calls_total", "2xx", "query"] == 2
    assert got["rag_calls_total", "5xx", "query"] == 1
    assert got["rag_errors_total", "overloaded_error"] == 1
    assert got["rag_stage_seconds_count", "total"] == 2  # a refusal has no latency worth the name
    assert abs(got["rag_stage_seconds_sum", "generate"] - 0.06) < 1e-9
    assert got["rag_stage_seconds_bucket", "0.05", "total"] == 2
    assert got["rag_tokens_total", "input"] == 328
    assert (got["rag_cost_usd_total",], got["rag_cost_unknown_calls_total",]) == (0.25, 1)
    assert got["rag_abstained_total",] == 1
    assert got["rag_confidence_bucket", "0.5"] == 1
    assert (got["rag_in_flight",], got["rag_queue_depth",]) == (1, 3)


ALERTS = ROOT / "step5_serving" / "deploy" / "alerts.yaml"
SELECTOR = re.compile(r"(rag_\w+)(?:\{(\w+)=\"([^\"]*)\"\})?")


def test_alerts_ask_for_what_the_page_has():
    metrics = Metrics()
    metrics.observe(call_of(cost_usd=0.25))
    metrics.observe(call_of(status=503))
    samples = samples_of(metrics)
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    names = "RagAvailability RagLatency RagCost RagLowConfidence"
    assert [rule["alert"] for rule in group["rules"]] == names.split()
    for rule in group["rules"]:
        asked = SELECTOR.findall(rule["expr"])
        assert asked, rule["alert"]
        for name, label, value in asked:
            there = [each for each in samples if each.name == name]
            assert any(not label or each.labels.get(label) == value for each in there), (name, label, value)


def test_promtool_takes_the_alerts():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here (Debian: apt-get install prometheus)")
    command = [promtool, "check", "rules", ALERTS]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "4 rules found" in checked.stdout
