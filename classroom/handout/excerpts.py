"""Code in a chapter, taken from its module, so that the two always agree.

    <!-- code: tokens.py learn_merges, join -->
    ```python
    def learn_merges(...
    ```

The comment names a file of the step (or `../shared/FILE`) and functions, classes or methods (`Class.method`)
in it. `renew` fills the block below it. Of a docstring only the first line is shown; markers and `noqa` are
left out. An assignment renews its chapters from its own files, so that they show no solution.
"""

import ast
import re
import textwrap
from collections.abc import Callable
from typing import Any

BLOCK = re.compile(r"(<!-- code: (\S+) ([^>]+?) -->\n```python\n).*?(^```$)", re.DOTALL | re.MULTILINE)
HIDDEN = re.compile(r"^\s*### (BEGIN|END) SOLUTION.*\n|  # noqa.*$", re.MULTILINE)


def renew(text: str, read: Callable[[str], str]) -> str:
    """The chapter with each excerpt as it is in its module; `read` gives the text of a file of the step.

    Raises:
        ValueError: a comment names something that is not in the file.
    """

    def block(found: re.Match[str]) -> str:
        head, file, names, end = found.groups()
        source = read(file)
        parts = [excerpt(source, name.strip()) for name in names.split(",")]
        return head + "\n\n\n".join(parts) + "\n" + end

    return BLOCK.sub(block, text)


def excerpt(source: str, name: str) -> str:
    """One function, class or method of a module, with one line of its docstring and without markers.

    Raises:
        ValueError: there is none of that name.
    """
    node: Any = ast.parse(source)
    for part in name.split("."):
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        named = [each for each in node.body if isinstance(each, kinds) and each.name == part]
        if not named:
            raise ValueError(f"an excerpt names {name}, which is not in the file")
        node = named[0]
    lines = source.splitlines()
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)]) - 1
    body = node.body[0]
    shown = lines[first : node.end_lineno]
    if ast.get_docstring(node) and body.end_lineno and body.end_lineno > body.lineno:
        head = lines[body.lineno - 1] + '"""'
        shown = [*lines[first : body.lineno - 1], head, *lines[body.end_lineno : node.end_lineno]]
    return textwrap.dedent(HIDDEN.sub("", "\n".join(shown) + "\n")).rstrip()
