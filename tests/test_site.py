"""The website's pages: links lead to pages, code stays as it is, a dead link is an error."""

import re
import tomllib

import pytest

from tests import site
from tests.conftest import ROOT


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "repository"
    for folder in ("step/lessons", "step/stage"):
        (root / folder).mkdir(parents=True)
    (root / "README.md").write_text("# Start\n\n[step](step/README.md#run), [web](https://example.com)\n")
    (root / "step" / "README.md").write_text(
        "# Step\n\n[one](lessons/01-one.md) [stage](stage) ![p](p.png)\n"
    )
    (root / "step" / "p.png").write_bytes(b"picture")
    (root / "step" / "stage" / "__init__.py").write_text("")
    (root / "step" / "stage" / "first.py").write_text('"""The first idea.\n\nMore.\n"""\n')
    (root / "step" / "lessons" / "01-one.md").write_text(
        "# One\n\n[code](../stage/first.py)\n\n```md\n[nowhere](gone.md)\n```\n"
    )
    return root


def test_links_lead_to_pages_and_code_is_left_alone(repository, tmp_path):
    pages = tmp_path / "pages"
    site.lay_out(repository, pages, [])
    assert (pages / "index.md").read_text() == (
        "# Start\n\n[step](step/index.md#run), [web](https://example.com)\n"
    )
    assert (
        "[one](lessons/01-one.md) [stage](stage/index.md) ![p](p.png)"
        in (pages / "step" / "index.md").read_text()
    )
    chapter = (pages / "step" / "lessons" / "01-one.md").read_text()
    assert "[code](../stage/first.py.md)" in chapter
    assert "[nowhere](gone.md)" in chapter
    assert "- [first.py](first.py.md): The first idea." in (pages / "step" / "stage" / "index.md").read_text()
    assert "More." in (pages / "step" / "stage" / "first.py.md").read_text()
    assert (pages / "step" / "p.png").read_bytes() == b"picture"
    assert site.page_of(tmp_path / ".box" / "box.json", tmp_path).as_posix() == "box/box.json.md"
    (repository / "README.md").write_text("# Start\n\n[gone](gone.md)\n")
    with pytest.raises(FileNotFoundError, match=r"README.md links to gone.md"):
        site.lay_out(repository, pages, [])


def test_the_repository_has_no_dead_link_and_every_page_of_the_navigation(tmp_path):
    site.lay_out(ROOT, tmp_path, site.start_pages(ROOT))
    settings = tomllib.loads(site.settings(ROOT))["project"]
    named = re.findall(r"'([^']+\.md)'", str(settings["nav"]))
    assert len(named) > 60
    assert [page for page in named if not (tmp_path / page).exists()] == []
