"""Scores of a tree of texts are what a plain forward pass over each whole text gives."""

import pytest
import torch

from shared import models
from shared.config import load_settings
from shared.embedded.likelihood import Likelihood, Node
from shared.embedded.remember import Remembering

BEFORE = "The sea was calm.\nQuestion:"


@pytest.fixture(scope="module")
def lm(tiny_cache):
    settings = load_settings(model="tiny", device="cpu", dtype="float32", cache_dir=tiny_cache)
    return Likelihood(models.load_causal_lm(settings=settings), models.load_tokenizer(settings=settings))


def plain(lm, before, ids):
    """log P of each of the ids behind the ids before, by one forward without a cache."""
    with torch.inference_mode():
        logprobs = lm.model(torch.tensor([before + ids]), use_cache=False).logits[0].float().log_softmax(-1)
    return [float(logprobs[len(before) + i - 1, token]) for i, token in enumerate(ids)]


def tree(lm):
    """Two trunks, branches of both, a branch of a branch; and for each node all ids up to its own end."""
    root, other = Node(lm.encode(" How warm")), Node(lm.encode(" Who"))
    warm = Node(lm.encode(" is it in Rome?"), root)
    nodes = [root, warm, Node(lm.encode(" are you"), root), other, Node(lm.encode(" are"), other)]
    nodes.append(Node(lm.encode(" And in Oslo?"), warm))
    return nodes


def line(node):
    return (line(node.parent) if node.parent else []) + node.ids


def scores(prefix, nodes):
    return prefix.logprobs(nodes, [node.path() for node in nodes])


def close(found, expected):
    return found == pytest.approx(expected, abs=1e-4)


def test_a_tree_scores_as_each_whole_text_does(lm):
    nodes, before = tree(lm), lm.encode(BEFORE)
    for node, found in zip(nodes, scores(lm.read(BEFORE), nodes), strict=True):
        assert close(found, plain(lm, before, line(node))[-len(node.ids) :])
    assert [node.depth for node in nodes] == [len(line(node)) - len(node.ids) for node in nodes]


def test_a_wrong_ancestor_would_be_noticed(lm):
    # The comparison above means something only if the texts before a node matter.
    before, end = lm.encode(BEFORE), lm.encode(" are")
    alone, behind = plain(lm, before, end), plain(lm, before + lm.encode(" Who"), end)
    assert not close(alone, behind)


def test_texts_are_scored_by_the_sum_of_their_tokens(lm):
    texts = [" Paris", " Rome, or Oslo", "\n"]
    expected = [sum(plain(lm, lm.encode(BEFORE), lm.encode(text))) for text in texts]
    assert close(lm.read(BEFORE).score(texts), expected)
    assert all(score < 0 for score in expected)


def test_places_within_a_node_and_tokens_that_are_not_its_own(lm):
    prefix, before = lm.read(BEFORE), lm.encode(BEFORE)
    node, stop = Node(lm.encode(" is it in Rome")), lm.encode("\n")[0]
    wanted = [[(node, i, stop) for i in range(len(node.ids))], [(None, 0, stop)]]
    inside, first = prefix.logprobs([node], wanted)
    assert close(inside, [plain(lm, before + node.ids[: i + 1], [stop])[0] for i in range(len(node.ids))])
    assert close(first, plain(lm, before, [stop]))
    assert close(prefix.logprobs([], [[(None, 0, stop)]])[0], first)


def test_kept_nodes_score_as_those_that_are_not(lm):
    fresh = scores(lm.read(BEFORE), tree(lm))
    nodes, prefix = tree(lm), lm.read(BEFORE)
    columns = prefix.columns
    prefix.keep([nodes[0], nodes[3]])
    prefix.keep([nodes[1]])
    assert prefix.columns == columns + sum(len(nodes[i].ids) for i in (0, 3, 1))
    assert prefix.length == columns
    rest = [2, 4, 5]
    found = scores(prefix, [nodes[i] for i in rest])
    assert all(close(each, fresh[i]) for i, each in zip(rest, found, strict=True))
    # What a kept node leads to is known without another pass.
    end = lm.encode("\n")[0]
    known = prefix.logprobs([], [[(nodes[1], len(nodes[1].ids) - 1, end)]])[0]
    assert close(known, plain(lm, lm.encode(BEFORE) + line(nodes[1]), [end]))


def test_the_order_of_nodes_and_calls_does_not_matter(lm):
    nodes, prefix = tree(lm), lm.read(BEFORE)
    together = scores(prefix, nodes)
    again = scores(prefix, nodes)
    assert all(map(close, again, together))
    mixed = tree(lm)
    order = [3, 0, 2, 1, 5, 4]  # parents first, that is all
    for i, found in zip(order, scores(prefix, [mixed[i] for i in order]), strict=True):
        assert close(found, together[i])
    texts = [" a", " longer text, with more", " b"]
    forward, backward = prefix.score(texts), prefix.score(texts[::-1])
    assert close(forward, backward[::-1])
    assert close([prefix.score([text])[0] for text in texts], forward)


def test_a_prefix_behind_another_and_two_that_do_not_mix(lm):
    trunk = lm.read(BEFORE)
    texts = [" Rome", " what time is it"]
    alone = trunk.score(texts)
    warm, cold = lm.read(" How warm?", after=trunk), lm.read(" How cold is it there?", after=trunk)
    warm.keep([Node(lm.encode(" kept by the first"))])
    expected = {}
    for said, prefix in ((" How warm?", warm), (" How cold is it there?", cold)):
        before = lm.encode(BEFORE) + lm.encode(said)
        expected[said] = [sum(plain(lm, before, lm.encode(text))) for text in texts]
        assert prefix.length == len(before)
        assert close(prefix.score(texts), expected[said])
    assert not close(expected[" How warm?"], expected[" How cold is it there?"])
    assert close(cold.score(texts), expected[" How cold is it there?"])
    assert close(warm.score(texts), expected[" How warm?"])
    assert close(trunk.score(texts), alone)  # nothing has been written into it


def test_a_likelihood_that_remembers_says_the_same_and_computes_once(lm):
    remembering = Remembering(lm)
    expected = scores(lm.read(" How", after=lm.read(BEFORE)), tree(lm))
    for asked in (1, 2):
        found = scores(remembering.read(" How", after=remembering.read(BEFORE)), tree(lm))
        assert all(map(close, found, expected))
        assert (remembering.asked, remembering.computed) == (asked * len(expected), len(expected))
    other = scores(remembering.read(" Why", after=remembering.read(BEFORE)), tree(lm))
    assert not close(other[0], expected[0])
