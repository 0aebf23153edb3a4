"""Passwords cannot be guessed by the thousand, and nobody else is locked out by who tries."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from apps.core.authentication import GUESSES
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db
TOKENS = "/api/v1/auth/tokens/"
HERE, ELSEWHERE = "198.51.100.7", "198.51.100.8"


def _token(name: str, password: str, address: str = HERE) -> Any:
    body = {"username": name, "password": password, "name": "laptop"}
    return APIClient(REMOTE_ADDR=address).post(TOKENS, body, format="json")


def test_after_too_many_wrong_passwords_not_even_the_right_one_opens() -> None:
    user = UserFactory()
    codes = [_token(user.username, f"wrong {i}").json()["code"] for i in range(GUESSES)]

    blocked = _token(user.username, PASSWORD)
    at_the_page = Client(REMOTE_ADDR=HERE).post(
        "/login/", {"username": user.username, "password": PASSWORD}
    )

    assert set(codes) == {"authentication_failed"}
    assert (blocked.status_code, blocked.json()["code"]) == (429, "too_many_attempts")
    assert at_the_page.status_code == 200
    assert b"Too many tries" in at_the_page.content


def test_who_sits_elsewhere_is_not_locked_out() -> None:
    user, other = UserFactory(), UserFactory()
    for i in range(GUESSES + 1):
        _token(user.username, f"wrong {i}")

    assert _token(user.username, PASSWORD, ELSEWHERE).status_code == 201
    assert _token(other.username, PASSWORD).status_code == 201


def test_the_right_password_makes_the_wrong_ones_forgotten() -> None:
    user = UserFactory()
    for _ in range(3):
        for i in range(GUESSES - 1):
            _token(user.username, f"wrong {i}")

        assert _token(user.username, PASSWORD).status_code == 201
