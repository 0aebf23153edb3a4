"""Tokens: shown once, hashed, scoped, expiring, revocable."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.test import APIClient

from apps.accounts.models import ApiToken
from apps.accounts.services import tokens_collect
from apps.core.authentication import bearer_user
from tests.factories import PASSWORD, GroupFactory, UserFactory

pytestmark = pytest.mark.django_db
TOKENS = "/api/v1/auth/tokens/"


def _login(**extra: object) -> dict[str, str]:
    user = UserFactory()
    GroupFactory(members=[user])
    body = {"username": user.username, "password": PASSWORD, "name": "laptop", **extra}
    answer = APIClient().post(TOKENS, body, format="json")
    assert answer.status_code == 201, answer.content
    found: dict[str, str] = answer.json()
    return found


def _client(token: str) -> APIClient:
    client = APIClient(enforce_csrf_checks=True)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def test_a_token_signs_requests_and_its_text_is_stored_nowhere() -> None:
    made = _login()

    answer = _client(made["token"]).get("/api/v1/me/")

    assert answer.status_code == 200
    row = ApiToken.objects.get(id=made["id"])
    stored = [str(getattr(row, f.attname)) for f in ApiToken._meta.concrete_fields]
    assert made["token"] not in stored
    assert "token" not in _client(made["token"]).get(TOKENS).json()["results"][0]


def test_a_reading_token_changes_nothing() -> None:
    client = _client(_login(scope="read")["token"])

    assert client.get("/api/v1/experiments/").status_code == 200
    for method, path in (
        ("post", "/api/v1/experiments/"),
        ("delete", f"{TOKENS}00000000-0000-0000-0000-000000000000/"),
        ("put", "/api/v1/me/"),
        ("patch", "/api/v1/me/"),
    ):
        answer = getattr(client, method)(path, {"name": "x"}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_a_writing_token_needs_no_csrf_token_but_a_session_does() -> None:
    made = _login()
    user = ApiToken.objects.get(id=made["id"]).user
    session = APIClient(enforce_csrf_checks=True)
    session.force_login(user)

    with_token = _client(made["token"]).post("/api/v1/experiments/", {"name": "a"}, format="json")
    with_session = session.post("/api/v1/experiments/", {"name": "b"}, format="json")

    assert with_token.status_code == 201
    assert with_session.status_code == 403


def test_an_expired_or_revoked_token_is_refused() -> None:
    expired, revoked = _login(), _login()
    ApiToken.objects.filter(id=expired["id"]).update(expiry=timezone.now() - timedelta(seconds=1))
    assert _client(revoked["token"]).delete(f"{TOKENS}{revoked['id']}/").status_code == 204

    for made in (expired, revoked):
        assert _client(made["token"]).get("/api/v1/me/").status_code == 401


@pytest.mark.parametrize("text", ["", "x", "é", "a b", "0" * 64, "\x00"])
def test_text_that_is_no_token_is_refused(text: str) -> None:
    answer = APIClient().get("/api/v1/me/", HTTP_AUTHORIZATION=f"Bearer {text}")

    assert answer.status_code == 401


def test_wrong_passwords_and_closed_accounts_get_no_token() -> None:
    closed = UserFactory(is_active=False)
    for name, password in ((closed.username, PASSWORD), (UserFactory().username, "wrong")):
        body = {"username": name, "password": password, "name": "x"}
        answer = APIClient().post(TOKENS, body, format="json")

        assert (answer.status_code, answer.json()["code"]) == (401, "authentication_failed")


def test_tokens_serve_sockets_and_tiles_too() -> None:
    made = _login()

    user, token = bearer_user(made["token"])

    assert str(token.id) == made["id"]
    assert token.user == user
    with pytest.raises(AuthenticationFailed):
        bearer_user("é")


def test_expired_tokens_are_collected() -> None:
    made, kept = _login(), _login()
    ApiToken.objects.filter(id=made["id"]).update(expiry=timezone.now() - timedelta(days=1))

    assert tokens_collect() == 1
    assert [str(i) for i in ApiToken.objects.values_list("id", flat=True)] == [kept["id"]]
