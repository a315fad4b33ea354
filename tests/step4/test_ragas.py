"""Ragas beside our own figures: what its Python is asked, what the report shows, and what goes wrong.

Ragas itself lives in an environment of its own. Here a stand-in of the same name and version lives in one, so
that the real child process runs; its BLEU has the fault of the real one (issue 2888 of Ragas).
"""

import json
import shutil
import sys
import venv
from pathlib import Path

import pytest

from shared.errors import UserError
from step4_finetune.evaluate import ragas_scores

COLLECTIONS = """
print("a library that prints")

class Result:
    def __init__(self, value):
        self.value = value

class Same:
    def score(self, *, response, reference):
        return Result(float(response == reference))

class FirstSentence:
    def score(self, *, response, reference):
        return Result(float(response.split(". ")[0] in reference.split(". ")))

BleuScore, RougeScore = FirstSentence, Same
CHRFScore = NonLLMStringSimilarity = Same
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python whose packages are a stand-in for Ragas and nothing else."""
    place = tmp_path_factory.mktemp("ragas") / "env"
    venv.create(place, symlinks=sys.platform != "win32")
    packages = next(place.glob("lib/python*/site-packages"), place / "Lib" / "site-packages")
    found = packages / "ragas" / "metrics"
    found.mkdir(parents=True)
    (found / "collections.py").write_text(COLLECTIONS)
    (packages / "ragas-0.4.3.dist-info").mkdir()
    (packages / "ragas-0.4.3.dist-info" / "METADATA").write_text("Name: ragas\nVersion: 0.4.3\n")
    return place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


@pytest.fixture
def changed(python):
    """Change a file of the stand-in for one test."""
    kept = []

    def write(name, text):
        path = next(python.parents[1].rglob(name))
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)  # within a second it would still hold
        kept.append((path, path.read_text()))
        path.write_text(text)

    yield write
    for path, text in reversed(kept):
        path.write_text(text)
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)


def facts(rejected="Hey! Two."):
    def system(name, *texts):
        return {"name": name, "replies": [{"text": text} for text in texts]}

    return {
        "messages": [{"chosen": "One. Two.", "rejected": rejected}, {"chosen": "Ä.", "rejected": "Ö!"}],
        "systems": [system("base", "One. No.", ""), system("tone", "One. Two.", "Ä.")],
    }


def means(found):
    return {
        name: [metric["mean"] for metric in each.values()] for name, each in found["ragas"]["systems"].items()
    }


def test_each_system_and_the_rejected_replies_against_the_chosen_ones(python):
    found = facts()
    ragas_scores.ready(python)(found)
    assert means(found) == {"base": [0] * 4, "tone": [1] * 4, "(the rejected replies)": [0] * 4}
    assert (found["ragas"]["version"], found["ragas"]["n"]) == ("0.4.3", 2)
    bleu = found["ragas"]["systems"]["tone"]["BLEU"]
    assert (bleu["values"], bleu["interval"]) == ([1, 1], (1, 1))
    json.dumps(found)


def test_a_reply_whose_first_sentence_is_right_is_not_right_for_bleu(python):
    asked = ragas_scores._ask(python, [("One. No.", "One. Two.")])
    assert asked["scores"]["BLEU"] == [0]  # ". " would be cut at, and the rest forgotten
    assert ragas_scores.whole("One. Two.\nThree.") == "One.\nTwo.\nThree."


def test_modules_of_ours_are_not_in_the_way_of_that_python(python, changed):
    changed("collections.py", "import data")  # a name that any library may have; step 4 has such a file
    with pytest.raises(UserError, match="No module named 'data'"):
        ragas_scores.ready(python)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "collections.py",
            "import langchain_vertex",
            "ModuleNotFoundError: No module named 'langchain_vertex'",
        ),
        ("collections.py", "raise SystemExit", "is no Python with Ragas >= 0.4.3: exit code 0"),
        ("collections.py", "BleuScore = None", "TypeError: 'NoneType' object is not callable"),
    ],
)
def test_an_environment_that_does_not_do(python, changed, name, text, says):
    changed(name, text)
    with pytest.raises(UserError, match=says) as caught:
        ragas_scores.ready(python)
    assert "\n" not in str(caught.value)
    assert "ragas_scores.py says how to make its environment" in str(caught.value)


# --- behind the command -----------------------------------------------------------------------------------


def test_the_command_shows_it_in_the_same_report(command, python):
    got = command(
        "step4_finetune", "evaluate", "--smoke", "--baselines", "base", "--out", "out", "--ragas", python
    )
    assert got.code == 0, got
    assert "like the chosen reply" in got.out
    assert "ROUGE-L" in got.out
    assert json.loads(Path("out/evaluate.json").read_text(encoding="utf-8"))["ragas"]["n"] == 3


def test_bad_pythons_are_refused_before_anything_is_answered(refused, python, tmp_path):
    line = refused("step4_finetune", "evaluate", "--smoke", "--ragas", tmp_path / "nowhere")
    assert f"--ragas {tmp_path / 'nowhere'} cannot be run: No such file" in line
    assert not Path("reports").exists()


def test_the_report_is_kept_when_ragas_falls_over(command, python, monkeypatch):
    def ready(_python):
        def add(_facts):
            raise UserError("--ragas: it fell over")

        return add

    monkeypatch.setattr(ragas_scores, "ready", ready)
    got = command(
        "step4_finetune", "evaluate", "--smoke", "--baselines", "base", "--out", "out", "--ragas", "x"
    )
    assert (got.code, got.out) == (2, "")
    assert got.err.endswith("error: --ragas: it fell over\n")
    assert Path("out/evaluate.json").exists()


def test_this_python_has_no_ragas_and_says_so():
    with pytest.raises(UserError, match="is no Python with Ragas"):
        ragas_scores.ready(Path(sys.executable))
