"""What the tests of the service share."""

import pytest

from step5_serving.api import server
from tests.step3.conftest import built, documents, embedder, fake, home, index, retriever  # noqa: F401
from tests.step5.batch_parts import alone, endless, loaded, make, tiny_settings, tiny_weights  # noqa: F401
from tests.step5.pages_parts import browser, look, service  # noqa: F401  (fixtures)
from tests.step5.rag_parts import index_home, made_once, rag  # noqa: F401
from tests.step5.telemetry_parts import database, postgres, postgres_server, recorder, run  # noqa: F401


@pytest.fixture(autouse=True)
def no_log_of_a_server(monkeypatch):
    """`serve` in this process leaves pytest's handlers and levels alone."""
    monkeypatch.setattr(server, "_set_up_logging", lambda: None)
