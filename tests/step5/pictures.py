"""Takes the lesson's pictures of the pages, from a service that runs: step5_serving/pictures/*.png.

    $ python -m step5_serving serve &
    $ python -m tests.step5.pictures http://127.0.0.1:8000 "When does it renew?" quote
    step5_serving/pictures/ask.png         121 kB
    step5_serving/pictures/dashboard.png   164 kB

The dashboard shows what the service was asked before: ask it something first.
"""

import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.step5.browsing import ARGS, CHROMIUM

FOLDER = Path(__file__).parents[2] / "step5_serving" / "pictures"
LARGEST = 200_000  # bytes


def take(address, question, reader="auto"):
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page = chromium.new_page(viewport={"width": 1200, "height": 800})
        page.goto(address)
        page.locator("#options summary").click()
        page.locator("#reader").select_option(reader)
        page.locator("#options summary").click()
        page.locator("#question").fill(question)
        page.locator("#question").focus()
        page.keyboard.press("Enter")
        page.locator("#facts .id").wait_for(timeout=120_000)
        page.locator(".cite").first.click()
        page.wait_for_timeout(500)  # the passage's frame fades in
        save(page, "ask.png", 1000)
        page.goto(f"{address}/dashboard")
        page.locator("input[value='15m']").check(force=True)
        page.locator(".chart .unit", has_text="per 30 s").first.wait_for()
        save(page, "dashboard.png", 1250)
        chromium.close()


def save(page, name, height):
    """The page down to that height, in 256 colours, rare ones too."""
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")
    whole = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": 1200, "height": min(whole, height)})
    page.wait_for_timeout(300)  # charts are drawn anew
    page.screenshot(path=FOLDER / name)
    Image.open(FOLDER / name).convert("RGB").quantize(
        256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    ).save(FOLDER / name, optimize=True)
    size = (FOLDER / name).stat().st_size
    print(f"step5_serving/pictures/{name:15} {size // 1000:4} kB")
    assert size < LARGEST


if __name__ == "__main__":
    take(sys.argv[1].rstrip("/"), *sys.argv[2:])
