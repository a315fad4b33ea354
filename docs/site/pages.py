"""The pages of the website, made from the repository's own Markdown files.

They and what they link to are laid out in build/pages as Zensical wants them: a README.md becomes index.md,
a linked source file or folder becomes a page that shows it. A link to something that does not exist is an
error. The first page is home.md.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = Path("docs", "site", "home.md")  # in the repository
PICTURES = {".png", ".svg", ".gif", ".jpg"}
# A link to a file: its path, and the #heading in it, if there is one.
LINK = re.compile(r"\]\((?!https?:|#|mailto:)(?P<path>[^)#\s]+)(?P<heading>#[^)\s]*)?\)")
FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
SECTIONS = {
    "1 Foundations": "step1_foundations",
    "2 Tools": "step2_tools",
    "3 Retrieval": "step3_rag",
    "4 Fine-tuning": "step4_finetune",
    "5 Serving": "step5_serving",
}
MORE = ["README.md", "GLOSSARY.md", "classroom/README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
LONGEST = 300  # lines of a linked file that its page shows


@dataclass(frozen=True)
class Page:
    """A page of the site, as Markdown."""

    text: str
    linked: list[Path]  # files and folders of the repository that need a page of their own


def start_pages(root: Path) -> list[Path]:
    """The files of the pages of the navigation, without the home page."""
    sources = []
    for folder in SECTIONS.values():
        sources += chapters(root / folder)
    sources += [root / file for file in MORE]
    return sources


def lay_out(root: Path, pages: Path, start: list[Path]) -> None:
    """Write the page of every file that can be reached from the home page and those of `start`.

    Raises:
        FileNotFoundError: a page links to something that does not exist.
    """
    waiting = [root / HOME, *start]
    written: set[Path] = set()
    while waiting:
        source = waiting.pop()
        if source in written:
            continue
        written.add(source)
        target = pages / page_of(source, root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix in PICTURES:
            shutil.copyfile(source, target)
            continue
        if source.is_dir():
            page = folder_page(source, root)
        elif source.suffix == ".md":
            page = markdown_page(source, root)
        else:
            page = code_page(source, root)
        target.write_text(page.text, encoding="utf-8")
        waiting += page.linked


def chapters(folder: Path) -> list[Path]:
    """A step's landing page and chapters, in order."""
    return [folder / "README.md", *sorted((folder / "lessons").glob("*.md"))]


def page_of(source: Path, root: Path) -> Path:
    """Where a file's page lies, relative to the folder of pages."""
    parts = source.relative_to(root).parts
    path = Path(*[part.lstrip(".") for part in parts])  # Zensical skips hidden folders
    if path == HOME:
        return Path("index.md")
    if path == Path("README.md"):
        return Path("overview.md")
    if path.name == "README.md":
        return path.with_name("index.md")
    if source.is_dir():
        return path / "index.md"
    if path.suffix == ".md" or path.suffix in PICTURES:
        return path
    return path.with_name(f"{path.name}.md")


def markdown_page(source: Path, root: Path) -> Page:
    """A Markdown file with links to pages in place of files.

    Raises:
        FileNotFoundError: it links to something that does not exist.
    """
    linked: list[Path] = []
    folder = page_of(source, root).parent

    def to_page(link: re.Match[str]) -> str:
        target = (source.parent / link["path"]).resolve()
        if not target.exists():
            raise FileNotFoundError(
                f"{source.relative_to(root)} links to {link['path']}, which does not exist"
            )
        if target.is_dir() and (target / "README.md").exists():
            target /= "README.md"
        linked.append(target)
        path = Path(os.path.relpath(page_of(target, root), folder)).as_posix()
        return f"]({path}{link['heading'] or ''})"

    parts = []
    for part in FENCE.split(source.read_text(encoding="utf-8")):
        is_code = part.startswith("```")  # code and outputs are left as they are
        parts.append(part if is_code else LINK.sub(to_page, part))
    return Page("".join(parts), linked)


def code_page(source: Path, root: Path) -> Page:
    """A page that shows the first lines of a source file."""
    lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
    shown = "\n".join(lines[:LONGEST])
    text = f"# {source.relative_to(root).as_posix()}\n\n"
    text += f"`````{source.suffix[1:]}\n{shown}\n`````\n"  # five, as the file may hold three
    if len(lines) > LONGEST:
        text += f"\n{len(lines) - LONGEST} more lines are in the file.\n"
    return Page(text, linked=[])


def folder_page(folder: Path, root: Path) -> Page:
    """A page that lists a folder's modules, each with the first line of its docstring."""
    text = f"# {folder.relative_to(root).as_posix()}\n\n"
    modules = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
    for module in modules:
        docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
        first_line = docstring.partition("\n")[0]
        text += f"- [{module.name}]({module.name}.md): {first_line}\n"
    return Page(text, linked=modules)
