"""The web pages: / to ask, /dashboard to look after the service, and the files that they are made of.

    GET /                  pages/index.html
    GET /dashboard         pages/dashboard.html
    GET /pages/ask.js      a file of that folder

No build step: what lies in the folder is what browsers get. They ask each time whether it changed (its
ETag) and get 304 if not, so that a new version is seen at once. The pages need nothing from any other
address and have no script or style inline, so that the policy of security.py fits them: if an answer ever
became markup, its scripts would not run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles

FOLDER = Path(__file__).parents[2] / "pages"


class Pages(StaticFiles):
    """The folder; browsers may keep its files, but ask before they use them again."""

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
    """The page with the figures."""
    return await files.get_response("dashboard.html", request.scope)


@router.api_route("/favicon.ico", methods=["GET", "HEAD"])
async def favicon(request: Request) -> Response:
    """Browsers ask for it wherever no page names another, at /healthz for one."""
    return await files.get_response("favicon.svg", request.scope)
