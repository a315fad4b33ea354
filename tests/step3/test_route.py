"""The router: which collections are searched, and the second search if that was wrong."""

import json

import numpy as np
import pytest

from step3_rag.evaluate import routing
from step3_rag.reflect import route
from step3_rag.reflect.route import Router, k_means
from tests.conftest import for_long


def on_circle(*degrees):
    """Vectors of length 1 at those angles, shape (n, 2)."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


ROUTER = Router({"east": on_circle(0, 20), "north": on_circle(90), "west": on_circle(180)}, margin=0.1)


@pytest.mark.parametrize(
    ("degrees", "collections"),
    [(10, ("east",)), (57, ("north", "east")), (80, ("north",)), (135, ("north", "west"))],
)
def test_the_nearest_is_searched_alone_if_it_leads_by_the_margin(degrees, collections):
    assert set(ROUTER.route(on_circle(degrees)[0])) == set(collections)


def test_centroids_have_length_1_and_are_the_same_for_a_seed():
    vectors = on_circle(*np.random.default_rng(1).uniform(0, 360, size=90))
    centres = k_means(vectors, 8, seed=1)
    assert np.linalg.norm(centres, axis=1) == pytest.approx(1)
    assert np.array_equal(centres, k_means(vectors, 8, seed=1))


def test_a_router_knows_the_collections_of_an_index(retriever):
    router = Router.of(retriever)
    assert {each.shape[1] for each in router.centroids.values()} == {16}
    for chunk in retriever.index.chunks(retriever.snapshot.ids.tolist()):
        (vector,) = retriever.index.vectors([chunk.id])
        assert next(iter(router.nearness(vector))) == chunk.collection


def test_the_command_shows_what_was_searched(read_only, command, refused, monkeypatch):
    monkeypatch.setattr(route, "MARGIN", 0.0)
    monkeypatch.setattr("step3_rag.reflect.route.confidence", lambda *_: 0.9)
    args = ("search", "days of leave", "--route")
    facts = json.loads(command("step3_rag", *args, "--json").out)
    (collection,) = facts["routed_to"]
    assert {each["document"].split("/")[0] for each in facts["results"]} == {collection}
    monkeypatch.setattr("step3_rag.reflect.route.confidence", lambda *_: 0.1)
    assert "searched all collections; confidence" in command("step3_rag", *args).out
    line = refused("step3_rag", *args, "--collection", "handbook")
    assert "--route chooses the collections itself: leave out --collection" in line


@pytest.mark.real
@for_long("chapter 14 shows the figures")
def test_most_questions_of_the_sample_reach_their_collection(command, monkeypatch):
    monkeypatch.setattr(routing, "MARGINS", (0.1,))
    facts = json.loads(command("step3_rag", "route", "--json").out)
    row = facts["tables"]["margin"]["0.1"]
    assert row["reach theirs"] >= 0.9 * facts["n"]
    assert row["searched"] < 0.8
    assert row["nDCG@10, change"]["mean"] > -0.02
