"""Lay out the pages, then build the site, strictly: `make site`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from docs.site.pages import ROOT, lay_out, start_pages
from docs.site.settings import MERMAID, settings

ASSETS = Path(__file__).with_name("assets")
MERMAID_PACKAGE = "mermaid@12"  # as Zensical's theme expects


def main() -> None:
    """Write the pages and what they load into build/, and build the site from them."""
    build = ROOT / "build"
    write_pages(build)
    add_mermaid(build)
    sys.exit(run_zensical(build))


def write_pages(build: Path) -> None:
    """Write all that the site is built from into the folder `build`, without Mermaid."""
    pages = build / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    lay_out(ROOT, pages, start_pages(ROOT))
    shutil.copytree(ASSETS, pages / "assets")
    (build / "zensical.toml").write_text(settings(ROOT), encoding="utf-8")


def add_mermaid(build: Path) -> None:
    """Copy Mermaid's script out of its npm package, which is downloaded once."""
    if not list(build.glob("mermaid-*.tgz")):
        if shutil.which("npm") is None:
            sys.exit("error: npm is not here, and the site's diagrams need it: install Node.js")
        command = ["npm", "pack", "--silent", MERMAID_PACKAGE]
        subprocess.run(command, cwd=build, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(next(build.glob("mermaid-*.tgz"))) as archive:
        script = archive.extractfile("package/dist/mermaid.min.js")
        assert script is not None
        (build / "pages" / MERMAID).write_bytes(script.read())


def run_zensical(build: Path) -> int:
    """Build the site from the pages in the folder `build`; the exit code, 0 if nothing is wrong."""
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "-f", "zensical.toml"]
    return subprocess.run(command, cwd=build).returncode


if __name__ == "__main__":
    main()
