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
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = {".png", ".svg", ".gif", ".jpg"}
LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?(\))")
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
    """The pages of the navigation, without the front page."""
    steps = [each for folder in SECTIONS.values() for each in chapters(root / folder)]
    return [*steps, *(root / each for each in MORE)]


def lay_out(root: Path, pages: Path, start: list[Path]) -> None:
    """Write the page of every file that can be reached from the front page and those of `start`.

    Raises:
        FileNotFoundError: a page links to something that does not exist.
    """
    waiting = [root / "README.md", *start]
    done: set[Path] = set()
    while waiting:
        source = waiting.pop()
        if source in done:
            continue
        done.add(source)
        target = pages / page_of(source, root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix in PICTURES:
            shutil.copyfile(source, target)
            continue
        page = listing if source.is_dir() else rewritten if source.suffix == ".md" else code
        text, linked = page(source, root)
        target.write_text(text, encoding="utf-8")
        waiting += linked


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
    path = Path(*(part.lstrip(".") for part in source.relative_to(root).parts))  # hidden folders are skipped
    if path.name == "README.md":
        return path.with_name("index.md")
    if source.is_dir():
        return path / "index.md"
    return path if path.suffix == ".md" or path.suffix in PICTURES else path.with_name(f"{path.name}.md")


def rewritten(source: Path, root: Path) -> tuple[str, list[Path]]:
    """A Markdown file with links to pages in place of files, and the files that it links to."""
    linked: list[Path] = []

    def link(found: re.Match[str]) -> str:
        target = (source.parent / found[2]).resolve()
        if not target.exists():
            raise FileNotFoundError(f"{source.relative_to(root)} links to {found[2]}, which does not exist")
        if target.is_dir() and (target / "README.md").exists():
            target /= "README.md"
        linked.append(target)
        to = os.path.relpath(page_of(target, root), page_of(source, root).parent)
        return f"{found[1]}{Path(to).as_posix()}{found[3] or ''}{found[4]}"

    parts = FENCE.split(source.read_text(encoding="utf-8"))  # code and outputs are left as they are
    text = "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)
    return text, linked


def code(source: Path, root: Path) -> tuple[str, list[Path]]:
    """A page that shows a source file."""
    lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
    more = f"\n{len(lines) - LONGEST} more lines are in the file.\n" if len(lines) > LONGEST else ""
    shown = "\n".join(lines[:LONGEST])
    return f"# {source.relative_to(root).as_posix()}\n\n`````{source.suffix[1:]}\n{shown}\n`````\n{more}", []


def listing(folder: Path, root: Path) -> tuple[str, list[Path]]:
    """A page that lists a folder's modules, each with the first line of its docstring; and the modules."""
    text = f"# {folder.relative_to(root).as_posix()}\n\n"
    modules = [each for each in sorted(folder.glob("*.py")) if each.name != "__init__.py"]
    for each in modules:
        first = (ast.get_docstring(ast.parse(each.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        text += f"- [{each.name}]({each.name}.md): {first}\n"
    return text, modules


def settings(root: Path) -> str:
    """Zensical's configuration: navigation from the files, light and dark, nothing from other hosts."""

    def listed(sources: list[Path]) -> list[str]:
        return [page_of(each, root).as_posix() for each in sources]

    sections = [{name: listed(chapters(root / folder))} for name, folder in SECTIONS.items()]
    project = {
        "site_name": "The LLM-engineer roadmap",
        "docs_dir": "pages",
        "site_dir": "site",
        "use_directory_urls": False,
        "extra_javascript": [SCRIPT],
        "nav": [{"Start": "index.md"}, *sections, *listed([root / each for each in MORE])],
        "theme": {
            "font": False,
            "features": ["navigation.footer", "navigation.indexes", "content.code.copy", "search.highlight"],
            "palette": [palette("light", "default", "sun"), palette("dark", "slate", "moon")],
        },
    }
    inline = json.dumps(project, separators=(", ", " = "), ensure_ascii=False)  # JSON's values are TOML's
    return f"project = {inline}\n"


def palette(media: str, scheme: str, icon: str) -> dict[str, object]:
    """The colours for people who prefer a light or a dark page, and the button that leads to the others."""
    toggle = {"icon": f"lucide/{icon}", "name": "Dark mode" if media == "light" else "Light mode"}
    return {"media": f"(prefers-color-scheme: {media})", "scheme": scheme, "toggle": toggle}


if __name__ == "__main__":
    main()
