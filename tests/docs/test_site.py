"""The website's pages: links lead to pages, code stays as it is, a dead link is an error; the home page."""

import re
import tomllib

import pytest

from classroom.assignment.spec import write_files
from docs.drawings import results
from docs.site import pages as site
from docs.site.settings import settings
from tests.conftest import ROOT

FILES = {
    "docs/site/home.md": "# Start\n\n[step](../../step/README.md#run), [web](https://example.com)\n",
    "step/README.md": "# Step\n\n[one](lessons/01-one.md) [stage](stage) ![p](p.png)\n",
    "step/p.png": "picture",
    "step/stage/__init__.py": "",
    "step/stage/first.py": '"""The first idea.\n\nMore.\n"""\n',
    "step/lessons/01-one.md": "# One\n\n[code](../stage/first.py)\n\n```md\n[nowhere](gone.md)\n```\n",
}


def test_links_lead_to_pages_and_code_is_left_alone(tmp_path):
    root = tmp_path / "repository"
    pages = tmp_path / "pages"
    write_files(root, {name: text.encode() for name, text in FILES.items()})
    site.lay_out(root, pages, [])
    made = {path.relative_to(pages).as_posix(): path.read_text() for path in pages.rglob("*.*")}
    assert made["index.md"] == "# Start\n\n[step](step/index.md#run), [web](https://example.com)\n"
    assert "[one](lessons/01-one.md) [stage](stage/index.md) ![p](p.png)" in made["step/index.md"]
    assert "[code](../stage/first.py.md)" in made["step/lessons/01-one.md"]
    assert "[nowhere](gone.md)" in made["step/lessons/01-one.md"]
    assert "- [first.py](first.py.md): The first idea." in made["step/stage/index.md"]
    assert "More." in made["step/stage/first.py.md"]
    assert made["step/p.png"] == "picture"
    assert site.page_of(tmp_path / ".box" / "box.json", tmp_path).as_posix() == "box/box.json.md"
    (root / "docs/site/home.md").write_text("# Start\n\n[gone](gone.md)\n")
    with pytest.raises(FileNotFoundError, match=r"home.md links to gone.md"):
        site.lay_out(root, pages, [])


def test_the_repository_has_no_dead_link_and_every_page_of_the_navigation(tmp_path):
    site.lay_out(ROOT, tmp_path, site.start_pages(ROOT))
    project = tomllib.loads(settings(ROOT))["project"]
    named = re.findall(r"'([^']+\.md)'", str(project["nav"]))
    assert len(named) > 60
    assert [page for page in named if not (tmp_path / page).exists()] == []


def test_the_pictures_of_the_steps_show_what_the_chapters_show(tmp_path, monkeypatch):
    drawn = results.PICTURES
    monkeypatch.setattr(results, "PICTURES", tmp_path)
    results.main()
    for picture in sorted(tmp_path.iterdir()):
        assert picture.read_text() == (drawn / picture.name).read_text(), "run make docs"
    assert len(list(tmp_path.iterdir())) == 4
    for system in ["template", "base", "guide", "few-shot", "tuned"]:
        assert f">{system}</text>" in (tmp_path / "step4.svg").read_text()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_home_page_fits_its_screen_and_leads_to_each_step(look, dark, width):
    page = look("index.html", dark=dark, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    button = page.get_by_role("link", name="Start with step 1").bounding_box()
    assert button["y"] + button["height"] < 800  # on the first screen
    cards = page.locator(".steps li")
    assert cards.count() == 5
    for i in range(5):
        picture = cards.nth(i).locator("img")
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        assert len(picture.get_attribute("alt")) > 20
    page.locator(".steps a").first.click()
    assert page.locator("h1").inner_text().startswith("Step 1")
