"""The demo's account: made once, closed where others could use its well-known password."""

from __future__ import annotations

import pytest

from apps.accounts.models import Membership, User
from tissuemaps.cli.account import close_account, ensure_account
from tissuemaps.cli.up import is_loopback

pytestmark = pytest.mark.django_db


def test_an_account_is_made_once() -> None:
    ensure_account("demo", "demo", "Demonstration")
    ensure_account("demo", "demo", "Demonstration")

    user = User.objects.get(username="demo")
    assert user.check_password("demo")
    assert not user.is_superuser
    assert Membership.objects.filter(user=user, role="manager").count() == 1


def test_a_well_known_password_is_locked() -> None:
    ensure_account("demo", "demo", "Demonstration")

    close_account("demo", "demo")

    assert not User.objects.get(username="demo").has_usable_password()


def test_an_account_with_a_password_of_its_own_is_left_alone() -> None:
    ensure_account("demo", "another one", "Demonstration")

    close_account("demo", "demo")
    close_account("nobody", "demo")

    assert User.objects.get(username="demo").check_password("another one")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("maps.example", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
