"""The graph: relations by rules, one name for each firm, answers, the command.

The firms are not those of the sample corpus, since the rules must not depend on its names.
"""

import json

import pytest

from shared.errors import UserError
from step3_rag.graph import graph as lesson
from step3_rag.graph import questions
from step3_rag.graph.questions import Connection, ContractsOf, SharedRole
from step3_rag.graph.relations import key, one_names
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
def graph(tmp_path):
    return lesson.build(make_index(tmp_path, DOCUMENTS))


def test_short_forms_are_the_same_firm():
    spellings = ["Ironbridge Forge Ltd", "Ironbridge", "Pelican North", "Pelican South", "Pelican"]
    names = one_names(spellings)
    assert [names[key(each)] for each in spellings] == [
        "Ironbridge Forge",
        "Ironbridge Forge",
        "Pelican North",
        "Pelican South",
        "Pelican",  # it could be two
    ]
    assert key("The Ironbridge  Forge, Ltd.") == "ironbridge forge"


def test_rules_extract_roles(graph):
    def targets(node, relation):
        return {edge.firm for edge in graph.evidence if (edge.document, edge.relation) == (node, relation)}

    assert targets("contracts/pumps.md", "supplier") == {"Kessler Hydraulik"}
    assert targets("contracts/pumps.md", "customer") == {"Harbour Works"}
    assert targets("contracts/valves.md", "supplier") == {"Kessler Hydraulik"}
    assert targets("contracts/cleaning.txt", "supplier") == {"Sparrow Services"}
    assert targets("contracts/cleaning.txt", "customer") == {"Harbour Works"}  # the opposite role
    assert targets("contracts/cleaning.txt", "subcontractor") == {"Kessler Hydraulik"}
    assert not targets("handbook/purchasing.md", "supplier")  # a policy has no parties
    assert not targets("products/hebe.md", "supplier")


def test_who_shares_a_supplier(graph):
    asked = questions.understand(graph, "Which contracts share a vendor with CL-2025-03?")
    assert asked == SharedRole("contracts/cleaning.txt", "supplier")
    answer, sources = questions.shared(graph, "contracts/cleaning.txt", "supplier")
    assert answer.text.splitlines() == [
        "Kessler Hydraulik, supplier of cleaning [1], is also in:",
        "  Supply Agreement KH-2024-07: pumps [2]",
        "  Framework KH-2025-01: valves [3]",
    ]
    assert [each.document for each in sources] == [
        "contracts/cleaning.txt",
        "contracts/pumps.md",
        "contracts/valves.md",
    ]
    assert all("Kessler Hydraulik" in " ".join(each.text.split()) for each in sources)
    answer, sources = questions.shared(graph, "handbook/purchasing.md", "customer")
    assert answer.text == "The graph knows no document that shares a customer with Purchasing policy."
    assert not sources


def test_entity_linking(graph):
    assert graph.document_in("What does kh-2025-01 cost?") == "contracts/valves.md"
    assert (
        graph.document_in("Like KH-2024-07: who signed Framework KH-2025-01: valves?")
        == "contracts/valves.md"
    )
    assert graph.document_in("What does the purchasing policy say?") == "handbook/purchasing.md"
    assert graph.document_in("What does contracts/pumps.md say?") == "contracts/pumps.md"
    assert graph.document_in("Is cleaning in KH-2025-012?") is None
    assert graph.firms_in("Is Kessler's valve made by Sparrow Services?") == [
        "Kessler Hydraulik",
        "Sparrow Services",
    ]


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Which contracts is Sparrow a supplier of?", ContractsOf("Sparrow Services", "supplier")),
        ("List all agreements with Harbour Works", ContractsOf("Harbour Works", None)),
        (
            "How is Sparrow Services connected with KH-2025-01?",
            Connection("Sparrow Services", "contracts/valves.md"),
        ),
        ("Who is the supplier of KH-2025-01?", None),
        ("Which firms share a supplier?", None),
        ("How are Harbour Works, Kessler Hydraulik and Sparrow Services connected?", None),
        ("Which contracts renew?", None),
    ],
)
def test_what_is_asked(graph, question, asked):
    assert questions.understand(graph, question) == asked


def test_the_contracts_of_a_firm(graph):
    answer, sources = questions.contracts_of(graph, "Kessler Hydraulik", "supplier")
    assert answer.text.splitlines() == [
        "Kessler Hydraulik is a subcontractor in cleaning [1]",
        "Kessler Hydraulik is the supplier in Supply Agreement KH-2024-07: pumps [2]",
        "Kessler Hydraulik is the supplier in Framework KH-2025-01: valves [3]",
    ]
    assert len(sources) == 3
    answer, _ = questions.contracts_of(graph, "Sparrow Services", "customer")
    assert answer.text == "The graph knows no document with Sparrow Services as customer."


def test_a_connection_goes_through_the_rarer_firm(graph):
    """Harbour Works is in all three contracts, Kessler Hydraulik in two of them and as often in the third."""
    answer, _ = questions.connection(graph, "Sparrow Services", "contracts/valves.md")
    assert answer.text.splitlines()[0] == "Sparrow Services is the supplier in cleaning [1]"
    assert answer.text.count("is ") == 3
    answer, sources = questions.connection(graph, "Sparrow Services", "handbook/purchasing.md")
    assert (answer.text, sources) == ("The graph knows no way from one to the other.", [])


def test_an_index_without_documents_is_one_line(tmp_path):
    with pytest.raises(UserError, match="is empty: ingest documents"):
        lesson.build(make_index(tmp_path, {}))


def test_the_command_answers_only_questions_about_what_is_shared(tmp_path, command, fake, refused):
    assert command("step3_rag", "ingest", str(write(tmp_path / "documents", DOCUMENTS))).code == 0
    question = ("step3_rag", "ask", "--graph", "Which contracts share a supplier with KH-2025-01?")
    got = command(*question)
    assert got.out.startswith(
        "Kessler Hydraulik, supplier of Framework KH-2025-01: valves [1], is also in:\n"
        "  Supply Agreement KH-2024-07: pumps [2]\n  cleaning as subcontractor [3]\n\n[1] contracts/valves.md"
    )
    assert "\n[3] contracts/cleaning.txt" in got.out
    facts = json.loads(command(*question, "--json").out)
    assert [each["document"] for each in facts["sources"][1:]] == [
        "contracts/pumps.md",
        "contracts/cleaning.txt",
    ]
    assert "--k, --trace: the graph answers without a search" in refused(*question, "--k=3", "--trace")
    got = command("step3_rag", "ask", "--graph", "How much oil is in the Otter 300?")
    assert (got.code, got.out) == (2, "")
    assert got.err.endswith("leave it out for other questions\n")
