"""The web pages: / to ask, /dashboard to look after the service, and the files that they are made of.

    GET /                  pages/index.html
    GET /dashboard         pages/dashboard.html
    GET /pages/ask.js      a file of that folder; none but those can be reached

    $ curl -sI localhost:8000/pages/ask.js | grep -i etag
    etag: "0f3a9c1be57d2a68"

No build step: what lies in the folder is what browsers get. They ask each time whether it changed (its
ETag) and get 304 if not, so that a new version is seen at once. The pages need nothing from any other
address and have no script or style inline, so that the policy of security.py fits them: if an answer ever
became markup, its scripts would not run.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from step5_serving.errors import ApiError

FOLDER = Path(__file__).parents[2] / "pages"
TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
NAME = re.compile(rf"[a-z]+\.({'|'.join(TYPES)})")  # no slash, no second dot: no way out of the folder

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def ask(request: Request) -> Response:
    """The page to ask on."""
    return _send("index.html", request)


@router.api_route("/dashboard", methods=["GET", "HEAD"])
async def dashboard(request: Request) -> Response:
    """The page with the figures."""
    return _send("dashboard.html", request)


@router.api_route("/favicon.ico", methods=["GET", "HEAD"])
async def favicon(request: Request) -> Response:
    """Browsers ask for it wherever no page names another, at /healthz for one."""
    return _send("favicon.svg", request)


@router.api_route("/pages/{name}", methods=["GET", "HEAD"])
async def file(name: str, request: Request) -> Response:
    """A file of the pages."""
    return _send(name, request)


def _send(name: str, request: Request) -> Response:
    """A file of the folder, or 304 to a browser that has it.

    Raises:
        ApiError: there is none of that name (404).
    """
    found = NAME.fullmatch(name)
    path = FOLDER / name
    if not found or not path.is_file():
        raise ApiError(404, "not_found_error", f"there is no {request.url.path}: see / and /dashboard")
    content, tag = _read(path, path.stat().st_mtime_ns)
    headers = {"ETag": tag, "Cache-Control": "no-cache"}  # keep it, but ask before using it again
    if _has(request.headers.get("If-None-Match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=TYPES[found[1]])


@lru_cache(maxsize=64)
def _read(path: Path, _changed: int) -> tuple[bytes, str]:
    """Content and ETag; read again when the file changes."""
    content = path.read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def _has(condition: str, tag: str) -> bool:
    """Whether If-None-Match names the tag; a proxy that compresses makes it a weak one (RFC 9110, 13.1.2)."""
    tags = [each.strip().removeprefix("W/") for each in condition.split(",")]
    return tag in tags or "*" in tags
