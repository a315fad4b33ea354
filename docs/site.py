"""The chapters as a website: `make site` writes it to build/site, and build/site/index.html opens it.

The pages are the repository's own Markdown files. They and what they link to are laid out in build/pages
as Zensical wants them: a README.md becomes index.md, a linked source file or folder becomes a page that
shows it. A link to something that does not exist is an error. Diagrams are drawn by Mermaid, which npm
fetches at build time, so that the site asks no other host for anything.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
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
MORE = ["GLOSSARY.md", "classroom/README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
LONGEST = 300  # lines of a linked file that its page shows
MERMAID = "mermaid@12"  # as Zensical's theme expects
SCRIPT = "assets/mermaid.min.js"


@dataclass(frozen=True)
class Page:
    """A page of the site, as Markdown."""

    text: str
    linked: list[Path]  # files and folders of the repository that need a page of their own


def main() -> None:
    """Lay out the pages, then build the site, strictly."""
    build = ROOT / "build"
    pages = build / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    lay_out(ROOT, pages, start_pages(ROOT))
    add_mermaid(build, pages / SCRIPT)
    (build / "zensical.toml").write_text(settings(ROOT), encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "-f", "zensical.toml"]
    sys.exit(subprocess.run(command, cwd=build).returncode)


def start_pages(root: Path) -> list[Path]:
    """The files of the pages of the navigation, without the front page."""
    sources = []
    for folder in SECTIONS.values():
        sources += chapters(root / folder)
    sources += [root / file for file in MORE]
    return sources


def lay_out(root: Path, pages: Path, start: list[Path]) -> None:
    """Write the page of every file that can be reached from the front page and those of `start`.

    Raises:
        FileNotFoundError: a page links to something that does not exist.
    """
    waiting = [root / "README.md", *start]
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


def add_mermaid(build: Path, target: Path) -> None:
    """Copy Mermaid's script out of its npm package, which is downloaded once."""
    if not list(build.glob("mermaid-*.tgz")):
        if shutil.which("npm") is None:
            sys.exit("error: npm is not here, and the site's diagrams need it: install Node.js")
        subprocess.run(["npm", "pack", "--silent", MERMAID], cwd=build, check=True, stdout=subprocess.DEVNULL)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(next(build.glob("mermaid-*.tgz"))) as archive:
        script = archive.extractfile("package/dist/mermaid.min.js")
        assert script is not None
        target.write_bytes(script.read())


def chapters(folder: Path) -> list[Path]:
    """A step's landing page and chapters, in order."""
    return [folder / "README.md", *sorted((folder / "lessons").glob("*.md"))]


def page_of(source: Path, root: Path) -> Path:
    """Where a file's page lies, relative to the folder of pages."""
    parts = source.relative_to(root).parts
    path = Path(*[part.lstrip(".") for part in parts])  # Zensical skips hidden folders
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


def settings(root: Path) -> str:
    """Zensical's configuration in TOML: navigation from the files, light and dark, no other hosts."""

    def pages_of(sources: list[Path]) -> list[str]:
        return [page_of(source, root).as_posix() for source in sources]

    sections = [{name: pages_of(chapters(root / folder))} for name, folder in SECTIONS.items()]
    more = pages_of([root / file for file in MORE])
    project = {
        "site_name": "The LLM-engineer roadmap",
        "docs_dir": "pages",
        "site_dir": "site",
        "use_directory_urls": False,
        "extra_javascript": [SCRIPT],
        "nav": [{"Start": "index.md"}, *sections, *more],
        "theme": {
            "font": False,
            "features": ["navigation.footer", "navigation.indexes", "content.code.copy", "search.highlight"],
            "palette": [
                palette("light", "default", icon="sun", toggle="Dark mode"),
                palette("dark", "slate", icon="moon", toggle="Light mode"),
            ],
        },
    }
    inline = json.dumps(project, separators=(", ", " = "), ensure_ascii=False)  # JSON's values are TOML's
    return f"project = {inline}\n"


def palette(preferred: str, scheme: str, icon: str, toggle: str) -> dict[str, object]:
    """The colours for people who prefer a light or a dark page, and the button that leads to the others."""
    return {
        "media": f"(prefers-color-scheme: {preferred})",
        "scheme": scheme,
        "toggle": {"icon": f"lucide/{icon}", "name": toggle},
    }


if __name__ == "__main__":
    main()
