"""Make a user with a research group: ``python -m tissuemaps.cli.account USER GROUP`` (password on stdin).

``--close USER`` locks one whose password, read the same way, is still that known one.

A process of its own: the command line that supervises the platform never opens the database.
"""

from __future__ import annotations

import os
import sys


def ensure_account(username: str, password: str, group_name: str) -> None:
    """Make the user a manager of the group, creating what is missing, and set the password."""
    from django.db import transaction

    from apps.accounts.models import ResearchGroup, Role, User
    from apps.accounts.services import group_create, membership_set

    with transaction.atomic():
        user, created = User.objects.get_or_create(username=username)
        if created or not user.check_password(password):
            user.set_password(password)
            user.save()
        group = ResearchGroup.objects.filter(name=group_name).first()
        group = group or group_create(name=group_name, actor=user, policy="group_write")
        membership_set(group=group, user=user, role=Role.MANAGER, actor=user)


def close_account(username: str, password: str) -> None:
    """Lock a user who still has that well-known password: it serves on a loopback address only."""
    from apps.accounts.models import User

    user = User.objects.filter(username=username).first()
    if user is not None and user.check_password(password):
        user.set_unusable_password()
        user.save()


def main(arguments: list[str]) -> int:
    """Read the password from stdin and make the account, or close it."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m tissuemaps.cli.account USER GROUP < password\n")
        return 2
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tissuemaps.settings.base")
    import django

    django.setup()
    password = sys.stdin.readline().rstrip("\n")
    if arguments[0] == "--close":
        close_account(arguments[1], password)
    else:
        ensure_account(arguments[0], password, arguments[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
