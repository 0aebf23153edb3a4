"""How the API describes itself: operations named after their views, one shape for all errors."""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction
from rest_framework import serializers

VERBS = {"GET": "get", "POST": "post", "PUT": "put", "PATCH": "update", "DELETE": "delete"}
LIST_VERBS = {**VERBS, "GET": "list", "POST": "create"}


class ProblemSerializer(serializers.Serializer[Any]):
    """What went wrong: a stable code, a sentence for a person, facts for a program."""

    code = serializers.CharField()
    message = serializers.CharField()
    extra = serializers.DictField()


class Schema(AutoSchema):
    """Describes an operation; ``PlateListView.get`` is ``plate_list``, ``PlateView.get`` ``plate_get``."""

    def get_operation_id(self) -> str:
        """Return the view's name and what is done."""
        name = type(self.view).__name__.removesuffix("View")
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
        if words.endswith("_list"):
            return f"{words.removesuffix('_list')}_{LIST_VERBS[self.method]}"
        return f"{words}_{VERBS[self.method]}"

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        bodies = dict(super()._get_response_bodies(direction))
        wrong = self._get_response_for_code(ProblemSerializer, "default")  # type: ignore[no-untyped-call]
        bodies.setdefault("default", wrong)
        return bodies


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How programs sign in."""

    target_class = "apps.core.authentication.BearerAuthentication"
    name = "token"

    def get_security_definition(self, _auto_schema: AutoSchema) -> dict[str, Any]:
        """Return the scheme's description."""
        return {"type": "http", "scheme": "bearer"}
