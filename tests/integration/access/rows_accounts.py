"""Who may do what with the accounts' routes. How a row is written: see `roles`."""

from tests.integration.access.roles import NOBODY_ELSE, SIGNED_IN, World, row

WRONG_PASSWORD = {"username": "nobody", "password": "wrong", "name": "x"}
NEW_MEMBER = {"member": "other_group"}


def build(world: World) -> dict[str, object]:
    """Add a token of the owner's and the group that owner, editor and viewer are in."""
    from apps.accounts.models import ApiToken

    token, _ = ApiToken.objects.create(user=world.users["owner"], name="a token", expiry=None)
    return {
        "token_id": token.id,
        "group_id": world.group.id,
        "member_id": world.users["viewer"].id,
    }


ROWS = [
    row("POST", "token-list", WRONG_PASSWORD, [401] * 7),
    row("GET", "token-list", None, SIGNED_IN(200)),
    # A token belongs to the owner of the test: nobody else sees it.
    row("DELETE", "token", None, NOBODY_ELSE(owner=204)),
    row("GET", "me", None, SIGNED_IN(200)),
    row("GET", "group-list", None, SIGNED_IN(200)),
    # anonymous, other_group, viewer, editor, owner (manager of the group), staff, superuser
    row("GET", "member-list", None, [401, 404, 200, 200, 200, 404, 404]),
    row("POST", "member-list", NEW_MEMBER, [401, 404, 403, 403, 201, 404, 404]),
    row("DELETE", "member", None, [401, 404, 403, 403, 204, 404, 404]),
]
