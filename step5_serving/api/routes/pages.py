"""The web pages: / to ask, /dashboard to watch the service, and the files that they consist of.

    GET /                  pages/index.html
    GET /dashboard         pages/dashboard.html
    GET /pages/ask.js      a file of that folder

There is no build step: browsers get the files of the folder as they are. They ask each time whether a file
changed (ETag, 304), so a new version is seen at once. The pages load nothing from other addresses and have
no inline scripts or styles, so that the policy of security.py fits: markup in an answer could run no script.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles

FOLDER = Path(__file__).parents[2] / "pages"


class Pages(StaticFiles):
    """The folder; browsers may cache its files, but must ask before they use them again."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


files = Pages(directory=FOLDER)
router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def ask(request: Request) -> Response:
    """The page to ask on."""
    return await files.get_response("index.html", request.scope)


@router.api_route("/dashboard", methods=["GET", "HEAD"])
async def dashboard(request: Request) -> Response:
    """The dashboard."""
    return await files.get_response("dashboard.html", request.scope)


@router.api_route("/favicon.ico", methods=["GET", "HEAD"])
async def favicon(request: Request) -> Response:
    """Browsers request it for replies that name no other icon."""
    return await files.get_response("favicon.svg", request.scope)
