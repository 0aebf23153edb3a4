"""URLs: the API, the admin, log-in, and the single page that carries the browser application."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path, re_path

from tissuemaps.api import urlpatterns as api
from tissuemaps.pages import LoginForm, application_page, health

urlpatterns = [
    path("health", health, name="health"),
    path("admin/", admin.site.urls),
    path(
        "login/",
        LoginView.as_view(
            template_name="login.html",
            authentication_form=LoginForm,
            redirect_authenticated_user=True,
        ),
        name="login",
    ),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("api/v1/", include(api)),
    re_path(r"^(?!api/|static/|tiles/|zarr/|ws/).*$", application_page, name="application"),
]

handler400 = "apps.core.problems.bad_request"
handler403 = "apps.core.problems.permission_denied"
handler404 = "apps.core.problems.page_not_found"
handler500 = "apps.core.problems.server_error"
