"""The API's routes: each app's `views.routes`, in one list."""

from importlib import import_module
from importlib.util import find_spec

from django.urls import URLPattern, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

APPS = ("accounts", "experiments", "workflows", "tiles", "tools")

urlpatterns: list[URLPattern] = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
]
for _app in APPS:
    if find_spec(f"apps.{_app}.views"):
        urlpatterns += import_module(f"apps.{_app}.views").routes
