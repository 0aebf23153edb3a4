"""All settings, from the environment, with safe defaults. Other settings files only override."""

import os
from pathlib import Path
from urllib.parse import unquote, urlparse

from django.contrib.admin.options import BaseModelAdmin

from tissuemaps.logs import settings as _log_settings

# Typed code names the model of an admin class, `ModelAdmin[User]`; Django's own classes don't take it.
if not hasattr(BaseModelAdmin, "__class_getitem__"):
    BaseModelAdmin.__class_getitem__ = classmethod(lambda cls, *_: cls)  # type: ignore[attr-defined]

BASE_DIR = Path(__file__).resolve().parents[2]
STATE = Path(os.environ.get("TISSUEMAPS_STATE", BASE_DIR / ".state"))


def _database(url: str) -> dict[str, object]:
    """Parse ``postgresql://user:password@host:port/name`` (host may be a percent-encoded socket folder)."""
    parts = urlparse(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0,
        # A pooled connection is tried before it is used: those of before a restart are dead.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "pool": {
                "min_size": 0,
                "max_size": int(os.environ.get("DATABASE_POOL", "10")),
                "timeout": 20,
            }
        },
    }


def _secret() -> str:
    """Return the secret key: from the environment, else from the file the supervisor made."""
    named = os.environ.get("TISSUEMAPS_SECRET_KEY", "")
    if named:
        return named
    try:
        return (
            Path(os.environ.get("TISSUEMAPS_SECRET_FILE", STATE / "secret_key")).read_text().strip()
        )
    except OSError:
        return ""  # Django refuses to sign anything with it


def _flag(name: str, default: str = "0") -> bool:
    return os.environ.get(name, default).lower() in {"1", "true", "yes"}


DEBUG = _flag("TISSUEMAPS_DEBUG")
SECRET_KEY = _secret()
ALLOWED_HOSTS = os.environ.get("TISSUEMAPS_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
CSRF_TRUSTED_ORIGINS = [o for o in os.environ.get("TISSUEMAPS_ORIGINS", "").split(",") if o]

# A URL's host loses its case when parsed; socket folders keep theirs through PGHOST-style variables.
DATABASES = {"default": _database(os.environ.get("DATABASE_URL", "postgresql:///tissuemaps"))}
if os.environ.get("DATABASE_SOCKET"):
    DATABASES["default"]["HOST"] = os.environ["DATABASE_SOCKET"]
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
TISSUEMAPS_DATA = Path(os.environ.get("TISSUEMAPS_DATA", STATE / "data"))
# Folders of the server that users may register; nothing outside them is ever read.
TISSUEMAPS_ROOTS = [Path(p) for p in os.environ.get("TISSUEMAPS_ROOTS", "").split(os.pathsep) if p]
UPLOAD_REQUEST_BYTES = 16 * 1024 * 1024

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "knox",
    "guardian",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "apps.core",
    "apps.accounts",
    "apps.jobs",
    "apps.experiments",
    "apps.workflows",
    "apps.tiles",
    "apps.tools",
]

MIDDLEWARE = [
    "tissuemaps.logs.RequestContext",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tissuemaps.logs.UserContext",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "tissuemaps.urls"
ASGI_APPLICATION = "tissuemaps.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "tissuemaps" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "apps.core.authentication.PasswordBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ANONYMOUS_USER_NAME = None
KNOX_TOKEN_MODEL = "accounts.ApiToken"
REST_KNOX = {
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_MODEL": "accounts.ApiToken",
    "AUTO_REFRESH": False,
}
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.core.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "apps.core.openapi.Schema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "apps.core.problems.exception_handler",
    # `?format=` says how values are coded, not how an answer is rendered.
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "TissueMAPS",
    "DESCRIPTION": "Everything the browser does, a script can do.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "LevelEnum": "apps.core.permissions.LEVELS",
        "GroupRoleEnum": "apps.accounts.models.Role",
        "WorkflowStateEnum": "apps.workflows.serializers.STATES",
        "JobStateEnum": "apps.workflows.serializers.JOB_STATES",
        "ToolResultStateEnum": "apps.tools.models.ResultState",
    },
}

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}], "capacity": 1000},
    }
}

DATA_UPLOAD_MAX_MEMORY_SIZE = UPLOAD_REQUEST_BYTES + 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATICFILES_DIRS = [p for p in [BASE_DIR / "tissuemaps" / "static"] if p.is_dir()]
STATIC_ROOT = Path(os.environ.get("TISSUEMAPS_STATIC", STATE / "static"))
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
# The build puts a digest of the content into these names.
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/app/chunks/.+-[A-Za-z0-9_-]{8}\."
# knox would make a table of tokens that nobody uses: ours are in `accounts`.
MIGRATION_MODULES = {"knox": None}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _flag("TISSUEMAPS_HTTPS")
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

LOGGING = _log_settings()
