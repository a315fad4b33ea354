"""Code in plain words, one idea a line: what STYLE asks for and a program can see.

The packages in PACKAGES are clean; add the others when they are.
"""

import ast
import configparser
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ["docs", "shared", "step1_foundations", "step2_tools"]
WORDS = configparser.ConfigParser(delimiters=":", interpolation=None)
WORDS.read(ROOT / "tests" / "avoided_words.txt", encoding="utf-8")
AVOIDED_IN_TEXTS = {**WORDS["texts"], **WORDS["texts of code"]}
AVOIDED_NAMES = dict(WORDS["names"])
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def modules(package):
    return sorted((ROOT / package).rglob("*.py"))


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
    """Names that a module gives to variables, arguments, functions and classes, with their lines."""
    tree = ast.parse(source)
    fields = set()  # have the names of JSON keys
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
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                names.append((node.lineno, name))
    return names


def avoided_in(source):
    """`line word: what to write` for each avoided word in a module's texts, and for each avoided name."""
    places = set()
    for line, text in texts_of(source):
        for word, advice in AVOIDED_IN_TEXTS.items():
            for match in re.finditer(rf"\b{word}\b".replace(" ", r"\s+"), text, re.IGNORECASE):
                places.add((line + text[: match.start()].count("\n"), f"{match[0]}: {advice}"))
    for line, name in names_of(source):
        if name.strip("_") in AVOIDED_NAMES:
            places.add((line, f"{name}: {AVOIDED_NAMES[name.strip('_')]}"))
    return [f"{line} {text}" for line, text in sorted(places)]


def dense_lines(source):
    """`line what` for each expression that holds more than one idea."""
    places = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, COMPREHENSIONS):
            conditions = sum(len(generator.ifs) for generator in node.generators)
            if len(node.generators) > 1 or conditions > 1:
                places.append((node.lineno, "comprehension with several for or if"))
        if isinstance(node, ast.IfExp):
            inner = (node.test, node.body, node.orelse)
            if any(isinstance(part, ast.IfExp) for part in inner):
                places.append((node.lineno, "condition within a condition"))
        if isinstance(node, (ast.For, ast.comprehension)) and isinstance(node.iter, ast.IfExp):
            places.append((node.iter.lineno, "condition as what a loop goes through"))
        if isinstance(node, ast.Assign) and is_several_assignments(node):
            places.append((node.lineno, "two assignments in one line"))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and is_list_times_condition(node):
            places.append((node.lineno, "list times a condition"))
    return [f"{line} {what}" for line, what in sorted(places)]


def is_several_assignments(node):
    """`a, b = 1, 2`, but not a swap, `a, b = b, a`."""
    target = node.targets[0]
    if not (isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)):
        return False
    assigned = {ast.unparse(part) for part in target.elts}
    return assigned != {ast.unparse(part) for part in node.value.elts}


def is_list_times_condition(node):
    conditions = (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.IfExp)
    return isinstance(node.left, ast.List) and isinstance(node.right, conditions)


def places_in(package, check):
    places = []
    for path in modules(package):
        for place in check(path.read_text(encoding="utf-8")):
            places.append(f"{path.relative_to(ROOT).as_posix()}:{place}")
    return places


@pytest.mark.parametrize("package", PACKAGES)
def test_code_avoids_the_words_and_names_of_avoided_words(package):
    places = places_in(package, avoided_in)
    assert not places, "\n".join(places)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_line_of_code_holds_one_idea(package):
    places = places_in(package, dense_lines)
    assert not places, "\n".join(places)


@pytest.mark.parametrize("package", PACKAGES)
def test_results_have_fields_that_the_type_checker_knows(package):
    """A report is read as `report.seconds`, not as `facts["seconds"]`."""
    for path in modules(package):
        assert 'facts["' not in path.read_text(encoding="utf-8"), path


def test_words_and_names_are_seen_wherever_code_has_them():
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
    words = [place.split(": ")[0] for place in avoided_in(source)]
    assert words == [
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


def test_dense_lines_are_seen():
    source = """
a = [x for row in rows for x in row]
b = [x for x in rows if x if y]
c = 1 if x else 2 if y else 3
for x in rows if rows else ():
    pass
d, e = 1, 2
f, g = g, f
h, i = pair
j = ["not"] * (x > 1)
k = [x for x in rows if x]
"""
    assert [place.split()[0] for place in dense_lines(source)] == ["2", "3", "4", "5", "7", "10"]
