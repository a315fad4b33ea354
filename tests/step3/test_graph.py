"""The graph: names and relations by rules, one name for one thing, answers, the command.

All firms here are other ones than those of the sample corpus: the rules must not know its names.
"""

import json

import pytest

from shared.errors import UserError
from step3_rag.graph import graph as lesson
from step3_rag.graph.names import Name, Resolver, find, key
from step3_rag.ingest.index import Index
from tests.step3.conftest import FACTS, bring_in, write

DOCUMENTS = {
    "contracts/pumps.md": """# Supply Agreement KH-2024-07: pumps

This agreement is made between Kessler Hydraulik GmbH, the supplier, and Harbour Works Ltd, the buyer. Kessler
Hydraulik supplies the pump Otter 300, which is used in the crane Hebe 9.

Liability is limited to EUR 80,000 a year. Signed by Petra Lindqvist, sales director, for Kessler Hydraulik
and by Owen Achebe, Head of Purchasing, for Harbour Works.
""",
    "contracts/valves.md": """# Framework KH-2025-01: valves

The supplier is Kessler Hydraulik GmbH. The customer is Harbour Works. Kessler delivers valves of type VX-20.
""",
    "contracts/pumps-amendment.md": """# Amendment No. 1 to Supply Agreement KH-2024-07

This amendment is made between Kessler Hydraulik and Harbour Works. The price rises by 2 %.
""",
    "contracts/cleaning.txt": """Cleaning contract CL-2025-03

Between Sparrow Services, as contractor, and Harbour Works. Windows are cleaned by Sparrow Services once a
month. Waste is carried out by Kessler Hydraulik.
""",
    "handbook/purchasing.md": """# Purchasing policy

Owner: Owen Achebe, Head of Purchasing. Orders above EUR 5,000 need two offers.

| Supplier | Reference | Ends |
|---|---|---|
| Kessler Hydraulik | KH-2024-07 | 2026 |
""",
    "products/hebe.md": """# Hebe 9: harbour crane

The Hebe 9 lifts nine tonnes. Its plant is at Grimsby. The Otter 300 of the crane Hebe 9 is filled with oil.
""",
}


def make_index(folder, documents):
    index = Index.open(folder / "index", FACTS, create=True)
    if documents:
        bring_in(index, write(folder / "documents", documents))
    return index


@pytest.fixture
def index(tmp_path):
    return make_index(tmp_path, DOCUMENTS)


@pytest.fixture
def graph(index):
    return lesson.build(index)


@pytest.fixture
def ingested(tmp_path, command, fake):
    """The documents in rag-index of the working folder, brought in by the command."""
    assert command("step3_rag", "ingest", str(write(tmp_path / "documents", DOCUMENTS))).code == 0


def names_in(text):
    return {(name.text, name.type) for name in find([text])[0]}


# --- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("We ordered it from Ironbridge Forge Ltd in May.", "Ironbridge Forge Ltd", "organisation"),
        ('It is owed to Ferrovia Sul (the "Buyer") at once.', "Ferrovia Sul", "organisation"),
        ("Then ask Ngozi Bello, Head of Security, about it.", "Ngozi Bello", "person"),
        ("It was signed by Jean-Luc Moreau on Monday.", "Jean-Luc Moreau", "person"),
        ("The firmware of the gateway Pelican 40 is new.", "Pelican 40", "other"),
        ("We see agreement AB-2023-11 for this.", "AB-2023-11", "document"),
    ],
)
def test_a_name_gets_its_type_from_the_words_beside_it(text, name, kind):
    assert (name, kind) in names_in(text)
    assert not any(name in other and name != other for other, _ in names_in(text))  # nor a longer one


def test_words_that_are_also_written_small_are_no_names():
    assert not names_in("The Supplier tells the Buyer on Monday. The supplier and the buyer agree.")


def test_short_forms_are_the_same_thing():
    mentions = [
        Name("Ironbridge Forge Ltd", "organisation"),
        Name("Ironbridge Forge", "organisation"),
        Name("Ironbridge"),
        Name("Ngozi Bello", "person"),
        Name("Bello"),
        Name("Pelican 40"),
        Name("Pelican 50"),
        Name("Pelican"),
        Name("Pelican 40 Ex"),
    ]
    names = Resolver(mentions, {"AB-2023-11": "contracts/forge.md"})
    assert {names.of(each) for each in ("Ironbridge", "Ironbridge Forge Ltd.")} == {"Ironbridge Forge"}
    assert names.of("Bello") == "Ngozi Bello"
    assert names.of("Pelican") == "Pelican"  # it could be two
    assert names.of("Pelican 40") == "Pelican 40"  # the Ex is another one
    assert names.of("AB-2023-11") == "contracts/forge.md"
    assert key("The Ironbridge  Forge, Ltd.") == "ironbridge forge"


# --- relations ----------------------------------------------------------------------------------------


def test_rules_read_who_is_what(graph):
    def targets(node, relation):
        return {edge.target for edge in graph.edges(node, relation) if edge.source == node}

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
    assert targets("handbook/purchasing.md", "refers to") == {"contracts/pumps.md"}


# --- answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "documents"),
    [
        (
            "Which contracts share a supplier with KH-2024-07?",
            ["contracts/pumps-amendment.md", "contracts/valves.md", "contracts/cleaning.txt"],
        ),
        ("Which contracts share a vendor with Sparrow Services?", ["contracts/cleaning.txt"]),
    ],
)
def test_who_shares_a_supplier(graph, question, documents):
    found = lesson.related(graph, *lesson.asks_to_share(graph, question))
    assert [each.document for each in found] == documents
    assert all(each.chunks for each in found)


def test_a_question_is_linked_to_the_names_in_it(graph):
    assert graph.link("Who makes the Otter 300 for Harbour Works Ltd?") == ["Harbour Works"]
    assert graph.link("What does the purchasing policy say?") == ["handbook/purchasing.md"]
    assert graph.link("is the harbour working?") == []
    assert lesson.asks_to_share(graph, "Who is the supplier of the Otter 300?") is None
    assert lesson.asks_to_share(graph, "Which firms share a supplier?") is None


def test_an_index_without_documents_is_one_line(tmp_path):
    with pytest.raises(UserError, match="is empty: ingest documents"):
        lesson.build(make_index(tmp_path, {}))


# --- the command ----------------------------------------------------------------------------------------


def test_a_set_is_answered_from_the_graph(ingested, command, refused):
    question = ("step3_rag", "ask", "--graph", "Which contracts share a supplier with KH-2025-01?")
    got = command(*question)
    assert got.out.startswith(
        "Kessler Hydraulik, supplier of Framework KH-2025-01: valves [contracts/valves.md"
    )
    assert "  cleaning as subcontractor [contracts/cleaning.txt" in got.out
    facts = json.loads(command(*question, "--json").out)
    assert facts["documents"][0] == "contracts/pumps-amendment.md"
    assert "--k, --trace: the graph answers without a search" in refused(*question, "--k=3", "--trace")


def test_another_question_is_not_for_the_graph(ingested, command):
    got = command("step3_rag", "ask", "--graph", "How much oil is in the Otter 300?")
    assert (got.code, got.out) == (2, "")
    assert got.err.endswith("leave it out for other questions\n")
