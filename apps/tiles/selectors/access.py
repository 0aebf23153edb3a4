"""What the tile application asks PostgreSQL, the authority on who may see what, once a second."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.experiments.models import Experiment
from apps.experiments.selectors import reach


@dataclass(frozen=True, slots=True)
class Permit:
    """What a user reaches of an experiment: hexadecimal ids, None for all."""

    plates: frozenset[str] | None
    object_types: frozenset[str] | None

    def admits(self, plate: str, object_type: str | None) -> bool:
        """Tell whether the pixels (or, with an object type, the objects) of a plate are reached."""
        if self.plates is not None and plate not in self.plates:
            return False
        if object_type is None:
            return True
        return self.object_types is None or object_type in self.object_types


def epoch_get(*, user_id: UUID, experiment_id: UUID) -> int | None:
    """Return the experiment's access epoch; None if it is deleted or the user is no longer active."""
    if not User.objects.filter(id=user_id, is_active=True).exists():
        return None
    rows = Experiment.objects.filter(id=experiment_id, deleted_at__isnull=True)
    return rows.values_list("access_epoch", flat=True).first()


def permit_get(*, user: User, experiment_id: UUID) -> Permit | None:
    """Return what a user reaches of an experiment, None if nothing."""
    try:
        seen = reach(user=user, experiment_id=experiment_id)
    except NotFound:
        return None
    return Permit(
        None if seen.plates == "all" else frozenset(each.hex for each in seen.plates),
        None if seen.object_types == "all" else frozenset(each.hex for each in seen.object_types),
    )


def permit_of(*, user_id: UUID, experiment_id: UUID) -> Permit | None:
    """Do as `permit_get` for the user of that id; None if there is none or they are not active."""
    user = User.objects.filter(id=user_id, is_active=True).first()
    return None if user is None else permit_get(user=user, experiment_id=experiment_id)
