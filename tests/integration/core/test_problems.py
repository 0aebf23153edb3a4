"""Whatever goes wrong, the API answers in one shape."""

from __future__ import annotations

import json

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, OperationalError, connections, transaction
from django.http import Http404
from django.test import Client, RequestFactory
from rest_framework.test import APIClient

from apps.accounts.models import ResearchGroup
from apps.core import problems
from apps.core.errors import Conflict
from gpu_workers.errors import FileError
from tests.factories import GroupFactory, UserFactory

pytestmark = pytest.mark.django_db


def _client() -> APIClient:
    client = APIClient()
    client.force_login(UserFactory())
    return client


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "code"),
    [
        ("get", "/api/v1/nothing/", "", "application/json", 404, "not_found"),
        ("get", "/api/v1/experiments/not-a-uuid/", "", "application/json", 404, "not_found"),
        ("put", "/api/v1/experiments/", "{}", "application/json", 405, "method_not_allowed"),
        ("post", "/api/v1/experiments/", "{", "application/json", 400, "malformed"),
        ("post", "/api/v1/experiments/", "[]", "application/json", 400, "invalid"),
        ("post", "/api/v1/experiments/", "{}", "application/json", 400, "invalid"),
        ("post", "/api/v1/experiments/", "a=b", "text/plain", 415, "unsupported_media_type"),
        ("get", "/api/v1/experiments/?cursor=x", "", "application/json", 400, "malformed"),
    ],
)
def test_every_refusal_has_code_message_and_extra(
    method: str, path: str, body: str, kind: str, status: int, code: str
) -> None:
    answer = getattr(_client(), method)(path, body or None, content_type=kind)

    assert answer.status_code == status
    problem = json.loads(answer.content)
    assert set(problem) == {"code", "message", "extra"}
    assert problem["code"] == code
    assert problem["message"]


def test_anonymous_requests_are_told_how_to_sign_in() -> None:
    answer = Client().get("/api/v1/me/")

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer.json()["code"] == "not_authenticated"


def test_a_serializers_fault_names_the_field() -> None:
    answer = _client().post("/api/v1/experiments/", {"name": "x" * 200}, format="json")

    assert answer.json()["message"].startswith("name: ")
    assert "name" in answer.json()["extra"]["fields"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Conflict("taken", code="name_taken", extra={"name": "a"}), 409, "name_taken"),
        (FileError("a.tif is cut short", files=("a.tif",)), 400, "bad_file"),
        (Http404(), 404, "not_found"),
        (ValidationError("no"), 400, "invalid"),
    ],
)
def test_errors_of_all_layers_become_problems(error: Exception, status: int, code: str) -> None:
    answer = problems.exception_handler(error, {})

    assert answer is not None
    assert answer.status_code == status
    assert answer.data["code"] == code


def test_an_unexpected_error_shows_a_number_and_no_detail() -> None:
    answer = problems.server_error(RequestFactory().get("/api/v1/me/"))

    assert answer.status_code == 500
    assert json.loads(answer.content)["message"].startswith("internal error ")
    assert problems.exception_handler(RuntimeError("secret"), {}) is None


def test_a_race_for_a_name_is_a_conflict_and_not_our_fault() -> None:
    group = GroupFactory()
    try:
        with transaction.atomic():
            ResearchGroup.objects.filter(id=GroupFactory().id).update(name=group.name)
    except IntegrityError as error:
        answer = problems.exception_handler(error, {})

    assert answer is not None
    assert (answer.status_code, answer.data["code"]) == (409, "raced")


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_is_said_to_be_so() -> None:
    with pytest.raises(OperationalError) as dead, connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    connections["default"].close()

    answer = problems.exception_handler(dead.value, {})

    assert answer is not None
    assert (answer.status_code, answer.data["code"]) == (503, "unavailable")
    assert "SELECT" not in answer.data["message"]
