"""Zensical's configuration: the navigation, light and dark, and no other host."""

from __future__ import annotations

import json
from pathlib import Path

from docs.site.pages import MORE, SECTIONS, chapters, page_of

MERMAID = "assets/mermaid.min.js"
STYLE = "assets/site.css"


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
        "extra_css": [STYLE],
        "extra_javascript": [MERMAID],
        "nav": [{"Home": "index.md"}, *sections, {"More": more}],
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
