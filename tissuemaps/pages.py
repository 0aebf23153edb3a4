"""The plain pages: health, log-in's form, and the page that loads the browser application."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET

from apps.core.authentication import login_is_blocked

# What a page that was tampered with could still do: load plug-ins, move links and forms elsewhere,
# be framed.
CONTENT_POLICY = "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


class LoginForm(AuthenticationForm):
    """Name and password; says so when there were too many tries."""

    def get_invalid_login_error(self) -> ValidationError:
        """Return why nobody was logged in."""
        address = self.request.META.get("REMOTE_ADDR", "") if self.request else ""
        if login_is_blocked(name=self.cleaned_data.get("username", ""), address=address):
            return ValidationError("Too many tries with a wrong password; wait five minutes.")
        return super().get_invalid_login_error()


@require_GET
def health(_request: HttpRequest) -> HttpResponse:
    """Answer 200 when the web server is up; says nothing else to strangers."""
    return JsonResponse({"status": "ok"})


@require_GET
@login_required
@ensure_csrf_cookie
def application_page(request: HttpRequest) -> HttpResponse:
    """Serve the page that loads the browser application; every path of it is handled in the browser."""
    page = render(request, "application.html")
    page["Content-Security-Policy"] = CONTENT_POLICY
    return page
