"""django-oauth-toolkit on SQLite, as its documentation has it, with `DEBUG` off.

Its access tokens are random texts in a table: nothing is signed, so it does less than the others. Client
secrets are kept as they are, an option of its documentation: by default it hashes one like a password on
every request, which answers a few requests per second. Run by gunicorn: `gunicorn django_server:application`.
"""

import json
import os

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

ASKED = json.loads(os.environ["BENCH_SERVER"])

settings.configure(
    DEBUG=False,
    SECRET_KEY=os.urandom(32).hex(),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "django.db",
            "CONN_MAX_AGE": None,
            # what Django's documentation advises for SQLite in production
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode = WAL"},
        }
    },
    OAUTH2_PROVIDER={
        "SCOPES": {"posts:read": "Posts", "users:read": "Users", "introspection": "Introspection"},
        "ACCESS_TOKEN_EXPIRE_SECONDS": ASKED["lifetime"],
    },
)
django.setup()

urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]


def _populate() -> None:
    from oauth2_provider.models import get_application_model  # noqa: PLC0415  # only after setup

    call_command("migrate", verbosity=0)
    application = get_application_model()
    for asked in ASKED["clients"]:
        if "client_secret" in asked:
            application.objects.create(
                name=asked["client_id"],
                client_id=asked["client_id"],
                client_secret=asked["client_secret"],
                hash_client_secret=False,
                client_type=application.CLIENT_CONFIDENTIAL,
                authorization_grant_type=application.GRANT_CLIENT_CREDENTIALS,
            )


application = get_wsgi_application()
_populate()
