"""Whatever is sent, the reply is one that the OpenAPI schema names, never a 500."""

import asyncio
from types import SimpleNamespace

import hypothesis
import pytest
from hypothesis import strategies as st

from step5_serving.addresses import listening
from step5_serving.telemetry.writer import Recorder
from tests.step5.service_parts import FakeAnswerer, Shelf, app_of, client_of

EXAMPLES = 4  # of each operation and mode


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    recorder = Recorder.from_url(f"sqlite:///{tmp_path_factory.mktemp('openapi') / 'telemetry.db'}")
    app = app_of(FakeAnswerer(), recorder, library=Shelf())
    with listening(app) as url:
        yield SimpleNamespace(app=app, url=url)


def operations():
    return [(path, method) for path, of_path in app_of().openapi()["paths"].items() for method in of_path]


@pytest.mark.parametrize(("path", "method"), operations())
def test_schemathesis_finds_nothing(served, path, method):
    schemathesis = pytest.importorskip("schemathesis", reason="pip install schemathesis")
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    schema = schemathesis.openapi.from_dict(served.app.openapi())
    schema.config.update(base_url=served.url)
    operation = schema[path][method.upper()]
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]

    modes = schemathesis.GenerationMode
    for mode in (modes.POSITIVE, modes.NEGATIVE):
        try:
            strategy = operation.as_strategy(generation_mode=mode)
        except Exception:  # no malformed request exists
            continue

        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            database=None,
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        )
        @hypothesis.given(case=strategy)
        def run(case):
            response = case.call(timeout=20)
            case.validate_response(response, checks=checks)

        try:
            run()
        except hypothesis.errors.Unsatisfiable:
            continue


@pytest.mark.parametrize("path", ["/query", "/ingest"])
def test_no_bytes_make_a_500(served, path):
    kinds = st.sampled_from(
        ["application/json", "text/plain", "multipart/form-data; boundary=x", "multipart/form-data", "", "é"]
    )

    @hypothesis.settings(max_examples=25, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(content=st.binary(max_size=200), kind=kinds)
    def run(content, kind):
        async def go():
            async with client_of(served.app) as client:
                headers = [(b"content-type", kind.encode("latin-1"))]
                return await client.post(path, content=content, headers=headers)

        assert 400 <= asyncio.run(go()).status_code < 500

    run()
