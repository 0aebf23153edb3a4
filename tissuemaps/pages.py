"""The two plain pages: health, and the page that loads the browser application."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET

BUILT = "app"  # folder of the built front end below the static files


@require_GET
def health(_request: HttpRequest) -> HttpResponse:
    """Answer 200 when the web server is up; says nothing else to strangers."""
    return JsonResponse({"status": "ok"})


@lru_cache(maxsize=2)
def _manifest(path: Path, _changed: float) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _assets() -> dict[str, list[str]]:
    """Return the addresses of the built application's scripts and styles; empty where it isn't built."""
    path = Path(settings.BASE_DIR) / "tissuemaps" / "static" / BUILT / ".vite" / "manifest.json"
    try:
        manifest = _manifest(path, path.stat().st_mtime)
    except OSError:
        return {"scripts": [], "styles": []}
    entry = next(e for e in manifest.values() if e.get("isEntry"))
    return {
        "scripts": [static(f"{BUILT}/{entry['file']}")],
        "styles": [static(f"{BUILT}/{name}") for name in entry.get("css", [])],
    }


@require_GET
@login_required
@ensure_csrf_cookie
def application_page(request: HttpRequest) -> HttpResponse:
    """Serve the page that loads the browser application; every path of it is handled in the browser."""
    return render(request, "application.html", _assets())
