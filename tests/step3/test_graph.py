"""The graph: names and relations by rules and by a model, one name for one thing, answers, disk, picture.

All firms here are other ones than those of the sample corpus: the rules must not know its names.
"""

import hashlib
import io
import json

import pytest
from rich.console import Console

from shared.config import load_settings
from shared.errors import UserError
from step3_rag.evaluate.dataset import Question
from step3_rag.graph import (
    build as graph_build,
)
from step3_rag.graph import commands
from step3_rag.graph import (
    compare as graph_compare,
)
from step3_rag.graph import (
    model as graph_model,
)
from step3_rag.graph import (
    names as graph_names,
)
from step3_rag.graph import (
    net as graph_net,
)
from step3_rag.graph import (
    rules as graph_rules,
)
from step3_rag.graph import (
    shared as graph_shared,
)
from step3_rag.graph.extract import Mention, Names, key
from step3_rag.graph.search import retrieve
from step3_rag.graph.themes import themes
from step3_rag.ingest.index import Draft, Index
from step3_rag.retrieve.search import Options, Retriever
from tests.scripted import ScriptedMessages
from tests.step3.conftest import FACTS, FakeEmbedder

DOCUMENTS = {
    "contracts/pumps.md": [
        "# Supply Agreement KH-2024-07: pumps",
        "This agreement is made between Kessler Hydraulik GmbH, the supplier, and Harbour Works Ltd, the "
        "buyer. Kessler Hydraulik supplies the pump Otter 300, which is used in the crane Hebe 9.",
        "Liability is limited to EUR 80,000 a year. Signed by Petra Lindqvist, sales director, for Kessler "
        "Hydraulik and by Owen Achebe, Head of Purchasing, for Harbour Works.",
    ],
    "contracts/valves.md": [
        "# Framework KH-2025-01: valves",
        "The supplier is Kessler Hydraulik GmbH. The customer is Harbour Works. Kessler delivers valves of "
        "type VX-20. The contract ends on 31 May 2027.",
    ],
    "contracts/pumps-amendment.md": [
        "# Amendment No. 1 to Supply Agreement KH-2024-07",
        "This amendment is made between Kessler Hydraulik and Harbour Works. The price rises by 2 %.",
    ],
    "contracts/cleaning.txt": [
        "Cleaning contract CL-2025-03\n\nBetween Sparrow Services, as contractor, and Harbour Works. Windows "
        "are cleaned by Sparrow Services once a month. Waste is carried out by Kessler Hydraulik.",
    ],
    "handbook/purchasing.md": [
        "# Purchasing policy",
        "Owner: Owen Achebe, Head of Purchasing. Orders above EUR 5,000 need two offers.",
        "| Supplier | Reference | Ends |\n|---|---|---|\n| Kessler Hydraulik | KH-2024-07 | 2026 |",
    ],
    "products/hebe.md": [
        "# Hebe 9: harbour crane",
        "The Hebe 9 lifts nine tonnes. Its plant is at Grimsby. The Otter 300 of the crane Hebe 9 is filled "
        "with oil.",
    ],
}


def make_index(folder, documents):
    embedder = FakeEmbedder()
    index = Index.open(folder, FACTS, create=True)
    begun = []
    for name, parts in documents.items():
        title = parts[0].splitlines()[0].strip("# ")
        sha256 = hashlib.sha256(name.encode()).hexdigest()
        document = index.begin(name, f"/{name}", name.split("/")[0], title, sha256)
        drafts = [Draft(None, title, part, part) for part in parts]
        encoded = embedder.encode([draft.embedded for draft in drafts])
        index.add((document, place, *pair) for place, pair in enumerate(zip(drafts, encoded, strict=True)))
        begun.append(document)
    index.finish(begun)
    return index


@pytest.fixture
def index(tmp_path):
    return make_index(tmp_path / "index", DOCUMENTS)


@pytest.fixture
def graph(index):
    return graph_build.build(index, graph_rules.extract)


@pytest.fixture
def retriever(index):
    class KeywordsOnly(Retriever):
        def search(self, query, options, encoded=None):
            return super().search(query, Options(k=options.k, use=("bm25",), rerank="none"), encoded)

    return KeywordsOnly(index, None, "chroma", FakeEmbedder())


@pytest.fixture
def settings():
    return load_settings(model="tiny", embedder="tiny")


def names_in(*texts):
    return {
        (name.text, name.type) for part in graph_names.find(texts) for each in part for name in each.names
    }


# --- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("We ordered it from Ironbridge Forge Ltd in May.", "Ironbridge Forge Ltd", "organisation"),
        ("The landlord is Elmhurst Estates.", "Elmhurst Estates", "organisation"),
        ('It is owed to Ferrovia Sul (the "Buyer") at once.', "Ferrovia Sul", "organisation"),
        ("Then ask Ngozi Bello, Head of Security, about it.", "Ngozi Bello", "person"),
        ("It was signed by Jean-Luc Moreau on Monday.", "Jean-Luc Moreau", "person"),
        ("The firmware of the gateway Pelican 40 is new.", "Pelican 40", "product"),
        ("We replace the cells of type ZK-7B first.", "ZK-7B", "product"),
        ("It is made at the plant in Ludwigsau by hand.", "Ludwigsau", "place"),
        ("We see agreement AB-2023-11 for this.", "AB-2023-11", "document"),
    ],
)
def test_a_name_gets_its_type_from_the_words_beside_it(text, name, kind):
    assert (name, kind) in names_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "Invoices are due within 30 days. Discounts are granted.",
        "The Head of Procurement approves it on Monday, 3 March.",
        "The Supplier tells the Buyer. The supplier and the buyer agree.",
        "It costs EUR 40 and runs at 868 MHz, DN 50.",
    ],
)
def test_what_only_looks_like_a_name_is_none(text):
    assert not names_in(text)


def test_the_columns_of_a_table_say_what_stands_in_them():
    table = "| Name | Site |\n|---|---|\n| Ngozi Bello | Ludwigsau |"
    assert names_in(table) == {("Ngozi Bello", "person"), ("Ludwigsau", "place")}
    first = "| Name | Site |\n|---|---|\n| Ngozi Bello | Ludwigsau |"
    assert ("Tomás Vidal", "person") in names_in(
        first, "| Tomás Vidal | Ludwigsau |"
    )  # cut by a chunk's border


def test_short_forms_are_the_same_thing():
    mentions = [
        Mention("Ironbridge Forge Ltd", "organisation", 1),
        Mention("Ironbridge Forge", "organisation", 2),
        Mention("Ironbridge", "other", 2),
        Mention("Ngozi Bello", "person", 3),
        Mention("Bello", "other", 3),
        Mention("Pelican 40", "product", 4),
        Mention("Pelican 50", "product", 4),
        Mention("Pelican", "product", 4),
        Mention("Pelican 40 Ex", "product", 5),
    ]
    names = Names(mentions, {"AB-2023-11": "contracts/forge.md"})
    assert {names.of(each) for each in ("Ironbridge", "Ironbridge Forge Ltd.")} == {"Ironbridge Forge"}
    assert names.of("Bello") == "Ngozi Bello"
    assert names.of("Pelican") == "Pelican"  # it could be two
    assert names.of("Pelican 40") == "Pelican 40"  # the Ex is another one
    assert names.of("AB-2023-11") == "contracts/forge.md"
    assert key("The Ironbridge  Forge, Ltd.") == "ironbridge forge"


# --- relations ----------------------------------------------------------------------------------------


def test_rules_read_who_is_what(graph):
    def targets(node, relation):
        return {target for source, _, target, _ in graph.edges(node, relation) if source == node}

    assert targets("contracts/pumps.md", "supplier") == {"Kessler Hydraulik"}
    assert targets("contracts/pumps.md", "customer") == {"Harbour Works"}
    assert targets("contracts/pumps.md", "signed by") == {"Petra Lindqvist", "Owen Achebe"}
    assert targets("contracts/cleaning.txt", "supplier") == {"Sparrow Services"}
    assert targets("contracts/cleaning.txt", "customer") == {"Harbour Works"}  # the opposite role
    assert targets("contracts/cleaning.txt", "subcontractor") == {"Kessler Hydraulik"}
    assert targets("contracts/pumps-amendment.md", "amends") == {"contracts/pumps.md"}
    assert targets("contracts/pumps-amendment.md", "supplier") == {"Kessler Hydraulik"}  # inherited
    assert targets("handbook/purchasing.md", "owner") == {"Owen Achebe"}
    assert not targets("handbook/purchasing.md", "supplier")  # a policy has no parties
    assert targets("Otter 300", "part of") == {"Hebe 9"}
    assert targets("Petra Lindqvist", "works for") == {"Kessler Hydraulik"}


def test_every_edge_has_its_evidence(graph, index):
    known = {chunk.id for chunk in graph_build.all_chunks(index)}
    for *_, facts in graph.net.edges(data=True):
        assert facts["chunks"]
        assert set(facts["chunks"]) <= known


# --- answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "documents"),
    [
        (
            "Which contracts share a supplier with KH-2024-07?",
            ["contracts/pumps-amendment.md", "contracts/valves.md", "contracts/cleaning.txt"],
        ),
        (
            "Which contracts have the same supplier as the Hebe 9?",  # by way of its pump
            [
                "contracts/pumps-amendment.md",
                "contracts/pumps.md",
                "contracts/valves.md",
                "contracts/cleaning.txt",
            ],
        ),
        ("Which contracts share a vendor with Sparrow Services?", ["contracts/cleaning.txt"]),
    ],
)
def test_who_shares_a_supplier(graph, question, documents):
    node, role = graph_shared.asked_for(graph, question)
    found = graph_shared.related(graph, node, role)
    assert [each.document for each in found] == documents
    assert all(each.chunks for each in found)


def test_other_questions_do_not_ask_who_shares_what(graph):
    assert graph_shared.asked_for(graph, "Who is the supplier of the Otter 300?") is None
    assert graph_shared.asked_for(graph, "Which firms share a supplier?") is None
    assert graph_shared.related(graph, "nobody") == []


def test_a_question_is_linked_to_the_names_in_it(graph):
    assert graph.link("Who makes the Otter 300 for Harbour Works Ltd?") == ["Otter 300", "Harbour Works"]
    assert graph.link("What does the purchasing policy say?") == ["handbook/purchasing.md"]
    assert graph.link("is the harbour working?") == []


def test_names_of_the_first_passage_lead_to_the_next(graph, retriever):
    question = "What is the limit of liability for the maker of the crane that lifts nine tonnes?"
    found = retrieve(graph, retriever, question)
    assert "Otter 300" in found.bridges
    before, after = found.plain.ranking(), found.ranking()
    assert after[0] == before[0] == "products/hebe.md"
    assert set(before) <= set(after)


def test_themes_name_documents_and_sentences_with_sources(graph, index):
    found = themes(graph, index)
    assert found
    for theme in found:
        assert theme["documents"]
        assert all(each["text"] in _text_of(index, each["chunk"]) for each in theme["sentences"])


def _text_of(index, chunk):
    return " ".join(index.chunks([chunk])[0].text.split())


def test_themes_can_be_summarised_by_a_model(graph, index):
    api = ScriptedMessages()
    api.enqueue("It is about pumps.")
    found = themes(graph, index, most=1, client=api.client, model="scripted")
    assert found[0]["summary"] == "It is about pumps."
    assert found[0]["names"][0] in api.requests[0]["messages"][-1]["content"]


# --- disk ---------------------------------------------------------------------------------------------


def test_a_graph_comes_back_from_disk_as_it_was(graph, index):
    graph.save(index.folder)
    again = graph_net.load(index)
    assert again.communities == graph.communities
    assert dict(again.net.nodes(data=True)) == dict(graph.net.nodes(data=True))
    assert sorted(again.net.edges(keys=True)) == sorted(graph.net.edges(keys=True))


def test_the_same_documents_make_the_same_graph(graph, index):
    again = graph_build.build(index, graph_rules.extract)
    assert again.communities == graph.communities


def test_a_graph_of_older_documents_is_not_used(graph, index):
    with pytest.raises(UserError, match=r"no graph of the index in .*graph build"):
        graph_net.load(index)
    graph.save(index.folder)
    index.remove([index.documents()[0]["id"]])
    with pytest.raises(UserError, match=r"documents have changed since the graph was built: run .* again"):
        graph_net.load(index)


def test_a_graph_by_rules_is_built_anew_and_one_by_a_model_is_not(graph, index, settings):
    graph.save(index.folder)
    index.remove([index.documents()[0]["id"]])
    assert commands.graph_of(index, settings).generation == index.generation
    graph.extractor = "claude-sonnet-5-5"
    graph.save(index.folder)
    with pytest.raises(UserError, match="documents have changed"):
        commands.graph_of(index, settings)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 99}'])
def test_a_damaged_file_is_one_line(index, text):
    (index.folder / graph_net.FILE).write_text(text)
    with pytest.raises(UserError, match="graph build"):
        graph_net.load(index)


def test_no_documents_and_no_names_are_one_line(tmp_path):
    with pytest.raises(UserError, match="is empty: ingest documents"):
        graph_build.build(make_index(tmp_path / "none", {}), graph_rules.extract)
    small = make_index(tmp_path / "small", {"a.md": ["nothing is named here, nothing at all."]})
    with pytest.raises(UserError, match="no names were found"):
        graph_build.build(small, graph_rules.extract)


# --- the model ----------------------------------------------------------------------------------------

TEXT = "The supplier is Kessler Hydraulik. It makes the pump Otter 300."


def said(names, relations):
    return json.dumps(
        {
            "names": [{"name": name, "type": kind} for name, kind in names],
            "relations": [
                dict(zip(("source", "relation", "target"), each, strict=True)) for each in relations
            ],
        }
    )


def test_the_model_is_held_to_the_schema_and_to_the_passage():
    api = ScriptedMessages()
    api.enqueue(
        said(
            [("Kessler Hydraulik", "organisation"), ("Otter 300", "product"), ("Acme", "organisation")],
            [
                ("DOCUMENT", "supplier", "Kessler Hydraulik"),
                ("Otter 300", "supplier", "Kessler Hydraulik"),
                ("DOCUMENT", "customer", "Acme"),
            ],
        )
    )
    found = graph_model.extract_with_model(api.client, "scripted", TEXT)
    assert [each["name"] for each in found["names"]] == ["Kessler Hydraulik", "Otter 300"]  # Acme is nowhere
    assert len(found["relations"]) == 2
    request = api.requests[0]
    assert request["output_config"]["format"]["schema"] == graph_model.schema()
    assert TEXT in request["messages"][-1]["content"]
    assert "{{" not in request["system"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"text": "I can't do that."}, "no JSON"),
        ({"text": '{"names": []}'}, "not of the schema"),
        ({"text": '{"names": [', "stop_reason": "max_tokens"}, "ended with max_tokens"),
    ],
)
def test_an_answer_that_is_not_usable_says_why(answer, why):
    api = ScriptedMessages()
    api.enqueue(**answer)
    with pytest.raises(graph_model.NotUsableError, match=why):
        graph_model.extract_with_model(api.client, "scripted", TEXT)


def test_a_passage_that_fails_is_counted_and_passed_over(index):
    api = ScriptedMessages(max_retries=0)
    chunks = graph_build.all_chunks(index)
    good = said([("Kessler Hydraulik", "organisation")], [("DOCUMENT", "supplier", "Kessler Hydraulik")])
    for chunk in chunks:
        if chunk.id % 3 == 1:
            api.enqueue(status=500)
        else:
            api.enqueue(good)
    found = graph_model.extract(api.client, "scripted", chunks)
    assert found.failed == sum(chunk.id % 3 == 1 for chunk in chunks)
    assert sum(found.why.values()) == found.failed
    graph = graph_build.build(index, lambda _chunks: found)
    assert graph.failed == found.failed
    assert graph.net.has_edge("contracts/valves.md", "Kessler Hydraulik", "supplier")


def test_a_model_that_never_answers_is_one_line(index):
    api = ScriptedMessages(max_retries=0)
    for _ in range(graph_model.IN_A_ROW):
        api.enqueue(status=401, error="no such key")
    with pytest.raises(UserError, match="gave nothing usable for the first 5 passages"):
        graph_model.extract(api.client, "scripted", graph_build.all_chunks(index))


# --- commands -----------------------------------------------------------------------------------------


def shown(show, facts):
    json.dumps(facts)  # programs get the same
    console = Console(width=100, file=io.StringIO())
    show(facts, console)
    return console.file.getvalue()


def test_build_saves_and_draws(index, settings, tmp_path):
    facts = commands.run_build(index, settings, out=tmp_path / "graph.png")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
    assert graph_net.load(index).extractor == "rules"
    text = shown(commands.show_build, facts)
    assert "6 documents: " in text
    assert "3 customer" in text or "4 customer" in text


def test_ask_goes_three_ways(index, retriever, settings):
    facts = commands.run_ask(index, retriever, settings, "Which contracts share a supplier with KH-2025-01?")
    assert (facts["way"], facts["documents"][0]) == ("edges", "contracts/pumps-amendment.md")
    assert "Kessler Hydraulik, supplier of Framework KH-2025-01: valves" in shown(commands.show_ask, facts)
    facts = commands.run_ask(index, retriever, settings, "Summarise the main themes.")
    assert facts["way"] == "communities"
    assert facts["themes"][0]["title"] in shown(commands.show_ask, facts)
    facts = commands.run_ask(index, retriever, settings, "How much oil is in the Otter 300?")
    assert (facts["way"], facts["linked"]) == ("passages", ["Otter 300"])
    assert "Otter 300 - part of -> " in shown(commands.show_ask, facts)


def test_compare_counts_pairs(index, retriever, settings):
    questions = [
        Question("q1", "Who signed for the maker of the pump?", {"contracts/pumps.md": 1}, "keyword"),
        Question(
            "q2",
            "Where is the crane made that the Otter 300 is used in?",
            {"products/hebe.md": 1, "contracts/pumps.md": 1},
            "multi-hop",
        ),
        Question("q3", "What is the meaning of life?", {}, "unanswerable"),
    ]
    facts = commands.run_compare(index, retriever, settings, questions, "a test")
    assert {kind: row["n"] for kind, row in facts["by_kind"].items()} == {"multi-hop": 1, "one document": 1}
    assert facts["by_kind"]["multi-hop"]["Recall@10"]["plain"] == 1.0
    assert "multi-hop" in shown(commands.show_compare, facts)


def test_the_verdict_says_what_the_interval_allows():
    def facts(low, high):
        row = {"plain": 0.5, "graph": 0.6, "interval_95": [low, high]}
        return {"by_kind": {"both": {"n": 9, "Recall@5": row}}}

    assert graph_compare.verdict(facts(0.01, 0.2)).endswith("the graph helps")
    assert graph_compare.verdict(facts(-0.2, -0.01)).endswith("the graph hurts")
    assert graph_compare.verdict(facts(-0.1, 0.2)).endswith("no difference can be told")


# --- the sample corpus --------------------------------------------------------------------------------


@pytest.mark.real
def test_the_sample_says_who_shares_a_supplier():
    from step3_rag.service import sample_service

    service = sample_service(load_settings())
    graph = graph_build.build(service.index, graph_rules.extract)
    node, role = graph_shared.asked_for(graph, "Which contracts share a supplier with FD-2025-08?")
    found = {(each.document, each.whom, each.relation) for each in graph_shared.related(graph, node, role)}
    ours, varrick = "Tarnholt Instruments", "Varrick Calibration Laboratories"
    assert found == {
        ("contracts/brackenmoor-energy-monitoring.md", ours, "supplier"),
        ("contracts/dunmarrow-water-framework.md", ours, "supplier"),
        ("contracts/thessaby-pharma-quality-agreement.md", ours, "supplier"),
        ("contracts/thessaby-pharma-quality-agreement.md", varrick, "subcontractor"),
        ("contracts/varrick-calibration-services.md", varrick, "supplier"),
    }
