"""The web pages: / to ask, /dashboard to watch the service, and the files that they consist of.

    GET /                  pages/index.html
    GET /dashboard         pages/dashboard.html
    GET /pages/ask.js      a file of that folder

There is no build step: browsers get the files of the folder as they are. They ask each time whether a file
changed (ETag, 304), so a new version is seen at once. The pages load nothing from other addresses and have
no inline scripts or styles, so that the policy of security.py fits: markup in an answer could run no script.
"""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles

FOLDER = Path(__file__).parents[2] / "pages"
# Browsers request /favicon.ico for replies that name no other icon.
PAGES = {"/": "index.html", "/dashboard": "dashboard.html", "/favicon.ico": "favicon.svg"}


class Pages(StaticFiles):
    """The folder; browsers may cache its files, but must ask before they use them again."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


files = Pages(directory=FOLDER)
router = APIRouter(include_in_schema=False)


async def page(request: Request) -> Response:
    """One of the PAGES."""
    return await files.get_response(PAGES[request.scope["route"].path], request.scope)


for path in PAGES:
    router.add_api_route(path, page, methods=["GET", "HEAD"])
