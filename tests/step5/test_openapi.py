"""Whatever is sent, the reply is one that the OpenAPI schema names, never a 500."""

import hypothesis
import pytest

from step5_serving.addresses import listening
from step5_serving.telemetry.writer import Recorder
from tests.step5.service_parts import FakeAnswerer, Shelf, app_of

schemathesis = pytest.importorskip("schemathesis", reason="pip install schemathesis")
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi import checks  # noqa: E402

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    recorder = Recorder.from_url(f"sqlite:///{tmp_path_factory.mktemp('openapi') / 'telemetry.db'}")
    with listening(app_of(FakeAnswerer(library=Shelf()), recorder)) as url:
        yield url


@schemathesis.openapi.from_dict(app_of().openapi()).parametrize()
@hypothesis.settings(max_examples=8, database=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_schemathesis_finds_nothing(case, served):
    """Well-formed and malformed requests to every route."""
    case.call_and_validate(base_url=served, checks=CHECKS, timeout=20)
