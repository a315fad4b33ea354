"""Marked places: found, taken out, and refused where a marker is wrong."""

import pytest

from classroom.assignment import markers
from shared.errors import UserError

CODE = '''\
"""A module."""

import math


class Rates:
    def take(self, who):
        """Whether it may."""
        ### BEGIN SOLUTION 3.2: Rates "in" time
        allowed = math.floor(1.5)
        # the answer
        return allowed
        ### END SOLUTION

    async def wait(self):
        def inner():
            ### BEGIN SOLUTION 3.3: Wait
            return 1
            ### END SOLUTION

        ### BEGIN SOLUTION 3.3: Wait
        x = inner()
        ### END SOLUTION
        return x

'''


def function(*lines):
    return "def f():\n" + "".join(f"    {line}\n" for line in lines)


BEGIN, END = "### BEGIN SOLUTION 1.1: F", "### END SOLUTION"


def test_places_are_found_with_their_functions():
    found = markers.places(CODE, "rates.py")
    assert [(each.id, each.title, each.function) for each in found] == [
        ("3.2", 'Rates "in" time', "Rates.take"),
        ("3.3", "Wait", "Rates.wait.inner"),
        ("3.3", "Wait", "Rates.wait"),
    ]
    lines = CODE.splitlines()
    assert all("BEGIN" in lines[each.first - 1] and "END" in lines[each.last - 1] for each in found)


def test_solutions_go_and_all_else_stays():
    stripped = markers.strip(CODE, "rates.py")
    assert 'raise NotImplementedError("exercise 3.2: Rates \\"in\\" time")' in stripped
    assert stripped.count('raise NotImplementedError("exercise 3.3: Wait")') == 2
    assert "math.floor" not in stripped
    assert "the answer" not in stripped
    assert "import math" in stripped
    assert '"""Whether it may."""' in stripped
    assert "        return x\n" in stripped
    assert markers.strip(stripped, "rates.py") == stripped
    namespace: dict = {}
    exec(stripped, namespace)
    with pytest.raises(NotImplementedError, match=r'^exercise 3\.2: Rates "in" time$'):
        namespace["Rates"]().take("ada")


def test_only_some_solutions_go_and_line_ends_are_kept():
    stripped = markers.strip(CODE, "rates.py", only="3.2")
    assert "math.floor" not in stripped
    assert "### BEGIN SOLUTION 3.3: Wait" in stripped
    code = "def f():\r\n    ### BEGIN SOLUTION 1.1: F\r\n    return 1\r\n    ### END SOLUTION\r\n"
    assert markers.strip(code, "f.py") == 'def f():\r\n    raise NotImplementedError("exercise 1.1: F")\r\n'


NOT_WHOLE = [
    (function(BEGIN, "# nothing", END, "return 1"), 2),
    (f"{BEGIN}\nx = 1\n{END}\n", 1),
    (f"class A:\n    {BEGIN}\n    x = 1\n    {END}\n", 2),
    (function(BEGIN, "return 1") + f"def g():\n    return 2\n    {END}\n", 2),
    (function("if True:", f"    {BEGIN}", "    x = 1", "else:", f"    {END}", "    x = 2"), 3),
    (function(BEGIN, "x = (1,", END, "2)"), 2),
    (function("if True:", f"    {BEGIN}", "    x = 1", "    while x:", f"    {END}", "        x = 0"), 3),
]
WRONG = [
    *((code, line, "a solution holds whole statements of one function") for code, line in NOT_WHOLE),
    (function(BEGIN, "return 1"), 2, "BEGIN SOLUTION without END"),
    (function("return 1", END), 3, "END SOLUTION without BEGIN"),
    (function(BEGIN, "x = 1", "### BEGIN SOLUTION 1.2: G", "x = 2", END, END), 4, "begins in line 2"),
    (function("### BEGIN SOLUTION", "return 1", END), 2, "names no exercise"),
    (function("### BEGIN SOLUTION 1.1:", "return 1", END), 2, "names no exercise"),
    ("def f(:\n", 1, "invalid syntax"),
]


@pytest.mark.parametrize(("code", "line", "what"), WRONG)
def test_a_wrong_marker_is_named_with_its_place(code, line, what):
    with pytest.raises(UserError, match=rf"^step3_rag/f.py.*line {line}: .*{what}"):
        markers.strip(code, "step3_rag/f.py")


def test_solutions_with_texts_and_blocks_are_whole():
    code = function(
        "for i in [1]:", f"    {BEGIN}", '    x = """', "flush", '"""', "    try:", "        return x"
    )
    code += f"        finally:\n            x = 1\n        {END}\n        # more\n"
    assert [each.function for each in markers.places(code, "f.py")] == ["f"]
