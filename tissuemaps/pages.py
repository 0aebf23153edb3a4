"""The two plain pages: health, and the page that loads the browser application."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET


@require_GET
def health(_request: HttpRequest) -> HttpResponse:
    """Answer 200 when the web server is up; says nothing else to strangers."""
    return JsonResponse({"status": "ok"})


@require_GET
@login_required
@ensure_csrf_cookie
def application_page(request: HttpRequest) -> HttpResponse:
    """Serve the page that loads the browser application; every path of it is handled in the browser."""
    return render(request, "application.html")
