"""Code says one idea a line, in plain words, with names that say what they are.

Only the source is read: nothing is imported. Packages join PACKAGES when they are clean.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from tests import avoided_words

ROOT = Path(__file__).parents[1]
PACKAGES = ["shared", "step1_foundations", "step2_tools", "step3_rag"]
PATHS = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
NAMES = [path.relative_to(ROOT).as_posix() for path in PATHS]

# Imports inside functions, each with its reason: all others stand at the top of the module.
HELP = "--help does without it"
TORCH = "torch takes seconds, and importers of the module may not need it"
ANTHROPIC = "anthropic takes a second, and a quoted answer does without"
SKLEARN = "scikit-learn takes seconds, and importers of the module may not need it"
PARSER = "the parser imports much, and few files need it"
SCIPY = "scipy takes seconds, and importers of the module may only need percentiles"
INNER_IMPORTS = {
    "shared/cli.py settings_from_flags": HELP,
    "shared/cli.py emit": HELP,
    "shared/cli.py plain_console": HELP,
    "shared/cli.py plain_table": HELP,
    "shared/launch.py _explain": HELP,
    "shared/progress.py count_bar": HELP,
    "shared/embedded/adapter.py load": TORCH,
    "shared/embedded/adapter.py _hook": TORCH,
    "shared/embedded/backend.py _load_transformers": TORCH,
    "shared/embedded/guide.py _tokens_of": "transformers takes seconds, and most schemas are only checked",
    "shared/hardware.py peak_memory_mb": "Windows has no such module",
    "shared/models/device.py choose_device": TORCH,
    "shared/models/device.py choose_dtype": TORCH,
    "shared/models/device.py use_threads": TORCH,
    "shared/models/device.py describe_choice": TORCH,
    "shared/models/load.py load_embedder": "sentence-transformers takes seconds",
    "shared/models/quiet.py quiet_transformers": "transformers reads settings when it is imported",
    "shared/models/tiny.py build": TORCH,
    "shared/models/weights.py _from_hub": "the hub's client takes a second, and most models are in the cache",
    "shared/models/weights.py _from_wheel": TORCH,
    "shared/personal.py recognizers": "Presidio is optional, and takes seconds",
    "shared/report/record.py new_figure": "matplotlib takes seconds, and every command imports this module",
    "shared/stats.py wilson": SCIPY,
    "shared/stats.py bootstrap": SCIPY,
    "shared/stats.py sign_test": SCIPY,
    "step2_tools/cli/assistant.py _foreign_tools": "mcp takes a second, and few questions use it",
    "step2_tools/optimize/run.py optimize_prompt": "DSPy is optional, and reads settings when it is imported",
    "step2_tools/optimize/run.py require_dspy": "DSPy is optional, and reads settings when it is imported",
    "step2_tools/own_tool.py main": "mcp takes a second, and a question does not use it",
    "step3_rag/agent/spans.py export": "OpenTelemetry's exporter is optional",
    "step3_rag/evaluate/frameworks.py count_pauses": "LangGraph takes a second",
    "step3_rag/evaluate/metrics.py auroc": SKLEARN,
    "step3_rag/from_flags.py make_client": ANTHROPIC,
    "step3_rag/ingest/embed.py _hidden": TORCH,
    "step3_rag/ingest/load.py _docx": PARSER,
    "step3_rag/ingest/load.py _pdf": PARSER,
    "step3_rag/ingest/load.py read": PARSER,
    "step3_rag/ingest/worker.py limit_process": "Windows has no such module",
    "step3_rag/pipeline.py ask": ANTHROPIC,
    "step3_rag/reflect/route.py k_means": SKLEARN,
    "step3_rag/retrieve/rerank.py cross_encoder_scorer": "sentence-transformers takes seconds",
}
COMMANDS = ("__main__.py", "cli/app.py")  # here each command imports its own modules


# --- one idea a line --------------------------------------------------------------------------------------


def dense_lines(source):
    """`line: what is dense about it` for each dense line of a module."""
    places = set()
    for node in ast.walk(ast.parse(source)):
        problem = dense(node)
        if problem:
            line = node.iter.lineno if isinstance(node, ast.comprehension) else node.lineno
            places.add((line, problem))
    return [f"{line}: {problem}" for line, problem in sorted(places)]


def dense(node):
    """What is dense about a node itself, without those in it; None if nothing is."""
    match node:
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            conditions = sum(len(generator.ifs) for generator in node.generators)
            if len(node.generators) > 1 or conditions > 1:
                return "comprehension with several for or if: write a loop with names"
        case ast.IfExp(test=ast.IfExp()) | ast.IfExp(body=ast.IfExp()) | ast.IfExp(orelse=ast.IfExp()):
            return "conditional expression in another one: write if and elif"
        case ast.For(iter=ast.IfExp()) | ast.comprehension(iter=ast.IfExp()):
            return "conditional expression after in: give it a name first"
        case ast.BinOp(
            left=ast.List(), op=ast.Mult(), right=ast.BoolOp() | ast.Compare() | ast.IfExp() | ast.UnaryOp()
        ):
            return "list times a condition: write if"
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            if not belong_together(targets, values):
                return "several assignments in a line: write one a line"
        case ast.Subscript(value=ast.Name(id="facts"), slice=ast.Constant(), ctx=ast.Load()):
            return "a result that is read by key: give it a type"
    return None


def belong_together(targets, values):
    """Whether values are swapped (`a, b = b, a`), or parts of one object (`left, right = x[:n], x[n:]`)."""
    if sorted(map(ast.unparse, targets)) == sorted(map(ast.unparse, values)):
        return True
    wholes = set()
    for value in values:
        is_part = isinstance(value, (ast.Attribute, ast.Subscript))
        wholes.add(ast.unparse(value.value) if is_part else None)
    return len(wholes) == 1 and not wholes & {None, "self"}


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_line_has_one_idea(path):
    assert dense_lines(path.read_text(encoding="utf-8")) == []


def test_dense_lines_are_noticed():
    source = """
rows = [x for row in table for x in row]
some = {x for x in row if x if x > 1}
kind = "a" if one else "b" if two else "c"
for x in table if table else ():
    pass
words = ["not"] * (x > 1)
first, second = 1, len(rows)
share = facts["right"]["share"]
one, other = self.one, self.other

kept = [x for x in row if x and x > 1]
zeros = [0] * len(row)
a, b = b, a
left, right = row[:2], row[2:]
rows, columns = shape
facts["unit"] = "m"
"""
    places = [int(place.partition(":")[0]) for place in dense_lines(source)]
    assert places == [2, 3, 4, 5, 7, 8, 9, 10]


# --- imports ----------------------------------------------------------------------------------------------


def inner_imports(source):
    """The names of the functions that import something."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if any(isinstance(part, (ast.Import, ast.ImportFrom)) for part in ast.walk(node)):
            names.add(node.name)
    return names


def test_imports_stand_at_the_top_of_a_module_but_for_those_listed_with_their_reason():
    places = set()
    for path, name in zip(PATHS, NAMES, strict=True):
        if not name.endswith(COMMANDS):
            places |= {f"{name} {function}" for function in inner_imports(path.read_text(encoding="utf-8"))}
    assert places == set(INNER_IMPORTS)


# --- words and names --------------------------------------------------------------------------------------


def texts_of(source):
    """Docstrings, messages (all strings) and comments of a module, with the lines where they begin."""
    texts = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append((node.lineno, node.value))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            texts.append((token.start[0], token.string))
    return texts


def names_of(source):
    """Names that a module gives to variables, parameters, functions and classes, with their lines."""
    tree = ast.parse(source)
    fields = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            fields |= {line.target for line in node.body if isinstance(line, ast.AnnAssign)}
    names = []
    for node in set(ast.walk(tree)) - fields:
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.alias(asname=str(name)):
                names.append((node.lineno, name))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.append((node.lineno, name))
            case ast.ExceptHandler(name=str(name)):
                names.append((node.lineno, name))
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                names.append((node.lineno, name))
    return names


def avoided_in_code(source):
    """`line: word: what to write` for each avoided word in a module's texts, and for each avoided name."""
    places = set()
    for line, text in texts_of(source):
        for word, advice in avoided_words.TEXTS_OF_CODE.items():
            for match in re.finditer(rf"\b{word}\b".replace(" ", r"\s+"), text, re.IGNORECASE):
                places.add((line + text[: match.start()].count("\n"), f"{match[0]}: {advice}"))
    for line, name in names_of(source):
        word = name.strip("_")
        if word in avoided_words.NAMES:
            places.add((line, f"{name}: {avoided_words.NAMES[word]}"))
    return [f"{line}: {text}" for line, text in sorted(places)]


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_code_avoids_the_words_and_names_of_avoided_words(path):
    assert avoided_in_code(path.read_text(encoding="utf-8")) == []


def test_words_and_names_are_noticed_wherever_code_has_them():
    source = '''"""The first line.

In vain; in
order to.
"""
class Row:
    found: int  # a field keeps its name, utilize
def told(those, *, each_row):
    for _each in those:
        print(f"{_each} came; {those} came from")
    try:
        [wanted for wanted in each_row if (held := wanted)]
    except OSError as so:
        pass
'''
    words = [place.split(": ")[:2] for place in avoided_in_code(source)]
    assert [f"{line} {word}" for line, word in words] == [
        "3 In vain",
        "3 in\norder to",
        "7 utilize",
        "8 those",
        "8 told",
        "9 _each",
        "10 came",
        "12 held",
        "12 wanted",
        "13 so",
    ]
