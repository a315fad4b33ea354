"""Takes the lesson's pictures of the pages, from a service that runs: step5_serving/pictures/*.png.

    $ python -m tests.step5.pictures
    step5_serving/pictures/ask.png           68 kB
    step5_serving/pictures/dashboard.png     57 kB
    step5_serving/pictures/regression.png    52 kB

The service is started for it, on the real models. The first picture has sentences quoted word for word, the
second is of answers that the model writes, the third of `serve --reader quote --running 1`, which one person
asks, then eight: the regression of chapter 5.
"""

import contextlib
import itertools
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import sync_playwright

from step3_rag.evaluate.dataset import read
from tests.step5.browsing import ARGS, CHROMIUM

FOLDER = Path(__file__).parents[2] / "step5_serving" / "pictures"
LARGEST = 200_000  # bytes
QUESTION = "What are the contract renewal terms?"
QUESTIONS, CROWD = 40, 8  # so many are asked by one person, then by so many people


@contextlib.contextmanager
def serving(*flags):
    """The address of a server with telemetry of its own."""
    with tempfile.TemporaryDirectory() as folder:
        where = ["--port", "0", "--telemetry", f"{folder}/telemetry.db"]
        command = [sys.executable, "-m", "step5_serving", "serve", *where, *flags]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            yield next(line.split()[2] for line in server.stderr if line.startswith("listening on "))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def ask_all(address, people):
    """Questions by so many people at a time, once the service is ready."""
    while httpx.get(f"{address}/readyz", timeout=300).status_code != 200:
        time.sleep(0.5)
    texts = itertools.cycle(each.text for each in read("sample", "dev").questions)
    asked = [next(texts) for _ in range(QUESTIONS)]
    with httpx.Client(base_url=address, timeout=300) as client, ThreadPoolExecutor(people) as pool:
        for reply in pool.map(lambda text: client.post("/query", json={"question": text}), asked):
            reply.raise_for_status()


def picture_of_answer(page, address):
    page.goto(address)
    page.locator("#question").fill(QUESTION)
    page.locator("#question").focus()
    page.keyboard.press("Enter")
    page.locator("#facts .id").wait_for(timeout=120_000)
    page.locator(".cite").first.click()
    page.wait_for_timeout(500)  # the passage's frame fades in
    save(page, "ask.png", 1000)


def picture_of_dashboard(page, address, name):
    page.goto(f"{address}/dashboard")
    page.locator("input[value='15m']").check(force=True)
    page.locator(".chart .unit", has_text="per 30 s").first.wait_for()
    save(page, name, 1250)


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


def main():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page = chromium.new_page(viewport={"width": 1200, "height": 800})
        with serving() as address:
            ask_all(address, 1)
            picture_of_dashboard(page, address, "dashboard.png")
        with serving("--reader", "quote", "--running", "1") as address:
            ask_all(address, 1)
            time.sleep(30)  # a bucket of the charts
            picture_of_answer(page, address)
            ask_all(address, CROWD)
            picture_of_dashboard(page, address, "regression.png")
        chromium.close()


if __name__ == "__main__":
    main()
