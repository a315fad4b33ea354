"""`evaluate --answers --add-row` adds a model's figures to a table, and nothing else."""

import datetime

from shared.stats import share
from step3_rag.evaluate import models_table
from step3_rag.evaluate.models_table import COLUMNS, Row, Tokens
from tests.step3.conftest import DOCUMENTS, write

HEADER = f"| {' | '.join(COLUMNS)} |"
TABLE = f"# Models\n\n{HEADER}\n|{'---|' * len(COLUMNS)}\n| *yours* |\n\nMore text.\n"
ROW = Row(
    model="claude-haiku-4-5",
    reader="chat",
    questions="sample, answers-test",
    right=share(30, 50),
    wrong=share(5, 100),
    refused=share(45, 50),
    tokens=Tokens(read=102_345, written=2_001, dollars=0.112),
    seconds=1.26,
    machine="a laptop",
    date=datetime.date(2026, 12, 3),
)


def test_a_row_stands_at_the_end_of_the_table(tmp_path):
    write(tmp_path, {"models.md": TABLE})
    models_table.add(tmp_path / "models.md", ROW)
    lines = (tmp_path / "models.md").read_text().splitlines()
    row = lines.pop(5)
    assert "\n".join([*lines, ""]) == TABLE
    assert row == (
        "| claude-haiku-4-5 | chat | sample, answers-test | 30/50 60% (46-72) | 5/100 5% (2-11) "
        "| 45/50 90% (79-96) | 102,345 | 2,001 | 0.11 | 1.3 | 2026-12-03 | a laptop |"
    )


def test_the_command_adds_a_row_of_its_figures(tmp_path, command):
    write(tmp_path, {"models.md": TABLE})
    arguments = ["--answers", "--split", "answers-dev", "--limit", "3", "--smoke", "--add-row", "models.md"]
    assert command("step3_rag", "evaluate", *arguments).code == 0
    cells = (tmp_path / "models.md").read_text().splitlines()[5].strip("| ").split(" | ")
    row = dict(zip(COLUMNS, cells, strict=True))
    assert (row["model"], row["reader"], row["questions"]) == ("none", "quote", "sample, answers-dev")
    assert row["wrong answers given"].split("/")[1].startswith("3 ")
    assert (row["tokens read"], row["tokens written"], row["dollars"]) == ("0", "0", "-")


def test_a_file_without_the_table_is_refused_before_a_question_is_answered(tmp_path, refused):
    write(tmp_path, DOCUMENTS)
    arguments = ["step3_rag", "evaluate", "--answers", "--smoke", "--add-row"]
    assert "notes.md has no table of models: its header is | model | reader" in refused(
        *arguments, "notes.md"
    )
    assert "cannot read none.md: No such file or directory" in refused(*arguments, "none.md")
    assert "--add-row: only --answers and --agent use a model" in refused(
        "step3_rag", "evaluate", "--smoke", "--add-row", "a.md"
    )
