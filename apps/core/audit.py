"""The audit trail's one writer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Model

from apps.core.models import AuditEntry


def record(
    *,
    actor: Any,
    action: str,
    obj: Model | None = None,
    object_type: str = "",
    object_id: UUID | str = "",
    object_name: str = "",
    **extra: Any,
) -> AuditEntry:
    """Append who did what to which object; call it inside the transaction of the act itself.

    `actor` is a user, or None for the system. `obj` gives type, id and name of the object.
    """
    if obj is not None:
        object_type = object_type or obj._meta.model_name or ""  # noqa: SLF001
        object_id = object_id or str(obj.pk)
        object_name = object_name or str(obj)
    return AuditEntry.objects.create(
        actor_id=actor.pk if actor is not None else None,
        actor_name=actor.get_username() if actor is not None else "",
        action=action,
        object_type=object_type,
        object_id=str(object_id),
        object_name=object_name[:255],
        extra=extra,
    )
