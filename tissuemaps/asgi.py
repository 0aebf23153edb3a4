"""ASGI: tiles in front of Django, WebSockets beside it."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tissuemaps.settings.base")
django_application = get_asgi_application()

from tissuemaps.routing import build  # noqa: E402

application = build(django_application)
