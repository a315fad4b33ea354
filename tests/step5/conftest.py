"""What the tests of the service share."""

from tests.step3.conftest import built, documents, embedder, fake, home, index, retriever  # noqa: F401
from tests.step5.batch_parts import alone, endless, loaded, make, tiny_settings, tiny_weights  # noqa: F401
from tests.step5.browsing import browser, look, script, stand_in  # noqa: F401  (fixtures)
from tests.step5.rag_parts import fake_embedder, index_home, made_once, rag  # noqa: F401
from tests.step5.telemetry_parts import database, postgres, postgres_server, run  # noqa: F401
