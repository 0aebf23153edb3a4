"""Settings of the tests: the services that `tests.services` started, fast password hashing."""

from tissuemaps.settings.base import *

SECRET_KEY = "only-for-tests-" + "x" * 40
DEBUG = False
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES["default"]["OPTIONS"] = {}
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
WHITENOISE_AUTOREFRESH = True
